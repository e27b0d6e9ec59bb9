"""From scores and boxes for thousands of anchors or proposals to the few that are shown."""

from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.ops import batched_nms

from cnnlab.boxes.geometry import clipped, decode
from cnnlab.boxes.outputs import AnchorOutputs
from cnnlab.boxes.proposals import Proposals

LEAST_SIDE = 1e-2
"""In pixels: what a second stage makes smaller is dropped (torchvision's)."""


class Found(NamedTuple):
    """D objects in one image, the surest first."""

    xyxy: Tensor
    """float32 `(D, 4)`."""
    score: Tensor
    """float32 `(D,)` in 0..1."""
    label: Tensor
    """int64 `(D,)`."""


def select(
    outputs: AnchorOutputs,
    image: int,
    size: tuple[float, float],
    *,
    threshold: float,
    candidates: int,
    nms_iou: float,
    most: int,
) -> Found:
    """What is found in one image: threshold, the best of each level, decode, clip, NMS by class.

    In this order, as RetinaNet (Lin et al. 2017, section 4.1) and torchvision have it. An image for
    which the net gave NaN or infinity anywhere has one object of NaN, which the metric refuses:
    thresholds, clipping and NMS would hide it.

    Args:
        outputs: of one-stage nets.
        image: which of the batch.
        size: its height and width without padding, in pixels.
        threshold: scores must be above it.
        candidates: so many scores a level at most reach NMS.
        nms_iou: of two boxes of a class that overlap more, the surer stays.
        most: so many objects at most.
    """
    if not _finite(outputs.scores[image], outputs.deltas[image]):
        return _wild(outputs.anchors)
    scores = outputs.scores[image].float()
    probability = scores.softmax(-1)[:, 1:] if outputs.background else scores.sigmoid()
    boxes, sure, labels, start = [], [], [], 0
    for count in outputs.levels:
        score, row, label = _best(probability[start : start + count], threshold, candidates)
        anchor = start + row
        boxes.append(decode(outputs.deltas[image, anchor], outputs.anchors[anchor]))
        sure.append(score)
        labels.append(label)
        start += count
    xyxy = clipped(torch.cat(boxes), *size)
    return _without_doubles(xyxy, torch.cat(sure), torch.cat(labels), nms_iou, most)


def refine(
    outputs: AnchorOutputs,
    proposals: Proposals,
    image: int,
    size: tuple[float, float],
    *,
    threshold: float,
    candidates: int,
    nms_iou: float,
    most: int,
) -> Found:
    """What a second stage finds in one image: as `select`, of its proposals as one level.

    As Fast R-CNN (Girshick 2015) and torchvision have it: softmax without background, boxes of
    their class, threshold, decode, clip, NMS by class; NaN or infinity of either stage as in
    `select`. Image by image, for what is pooled of a
    thousand proposals takes much memory.

    Args:
        outputs: of a two-stage net.
        proposals: of the batch.
        image: which of it.
        size: its height and width without padding, in pixels.
        threshold: scores must be above it.
        candidates: so many scores at most reach NMS.
        nms_iou: of two boxes of a class that overlap more, the surer stays.
        most: so many objects at most.
    """
    assert outputs.second is not None
    own = proposals.xyxy[image][proposals.valid[image]]
    number = torch.full((len(own),), image, device=own.device)
    scores, deltas = outputs.second(own, number)
    if not _finite(outputs.scores[image], outputs.deltas[image], scores, deltas):
        return _wild(own)
    probability = scores.float().softmax(-1)[:, 1:]
    score, row, label = _best(probability, threshold, candidates)
    chosen = deltas[row, label] if deltas.ndim == 3 else deltas[row]
    xyxy = clipped(decode(chosen, own[row]), *size)
    large = (xyxy[:, 2:] - xyxy[:, :2] >= LEAST_SIDE).all(1)
    xyxy, score, label = xyxy[large], score[large], label[large]
    return _without_doubles(xyxy, score, label, nms_iou, most)


def _best(probability: Tensor, threshold: float, candidates: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of `(A, K)` the best scores above the threshold, each with its row and class."""
    classes, flat = probability.shape[-1], probability.flatten()
    (above,) = (flat > threshold).nonzero(as_tuple=True)
    score, order = flat[above].topk(min(candidates, len(above)))
    chosen = above[order]
    return score, chosen // classes, chosen % classes


def _without_doubles(
    xyxy: Tensor, score: Tensor, label: Tensor, nms_iou: float, most: int
) -> Found:
    kept = batched_nms(xyxy, score, label, nms_iou)[:most]
    return Found(xyxy[kept], score[kept], label[kept])


def _finite(*outputs: Tensor) -> bool:
    return all(bool(values.isfinite().all()) for values in outputs)


def _wild(like: Tensor) -> Found:
    """One object that no metric takes."""
    nan = like.new_full((1, 4), float("nan"), dtype=torch.float32)
    return Found(nan, nan[:, 0], nan.new_zeros(1, dtype=torch.long))

"""From scores and boxes for thousands of anchors to the few that are shown."""

from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.ops import batched_nms

from cnnlab.boxes.geometry import clipped, decode
from cnnlab.boxes.outputs import AnchorOutputs


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

    In this order, as RetinaNet (Lin et al. 2017, section 4.1) and torchvision have it.

    Args:
        outputs: of one-stage nets.
        image: which of the batch.
        size: its height and width without padding, in pixels.
        threshold: scores must be above it.
        candidates: so many scores a level at most reach NMS.
        nms_iou: of two boxes of a class that overlap more, the surer stays.
        most: so many objects at most.
    """
    scores = outputs.scores[image].float()
    probability = scores.softmax(-1)[:, 1:] if outputs.background else scores.sigmoid()
    classes = probability.shape[-1]
    boxes, sure, labels, start = [], [], [], 0
    for count in outputs.levels:
        level = probability[start : start + count].flatten()
        # What is no number goes on, so that the metric can refuse it.
        (above,) = (~(level <= threshold)).nonzero(as_tuple=True)
        best, order = level[above].topk(min(candidates, len(above)))
        chosen = above[order]
        anchor = start + chosen // classes
        boxes.append(decode(outputs.deltas[image, anchor], outputs.anchors[anchor]))
        sure.append(best)
        labels.append(chosen % classes)
        start += count
    xyxy = clipped(torch.cat(boxes), *size)
    score, label = torch.cat(sure), torch.cat(labels)
    kept = batched_nms(xyxy, score, label, nms_iou)[:most]
    return Found(xyxy[kept], score[kept], label[kept])

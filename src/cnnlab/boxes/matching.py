"""Which anchors, or proposals, stand for which box."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from cnnlab.boxes.geometry import area, intersection, iou

IN_CROWD = 0.5
"""Of a candidate's area: one that lies in a crowd by so much is neither object nor background."""


class Truth(NamedTuple):
    """M boxes of a batch of images; the last is none of them, and stands for 'no box'."""

    xyxy: Tensor
    """float32 `(M + 1, 4)`."""
    label: Tensor
    """int64 `(M + 1,)`."""
    image: Tensor
    """int64 `(M + 1,)`; -1 for no image."""
    crowd: Tensor
    """bool `(M + 1,)`."""

    @classmethod
    def of(cls, xyxy: Tensor, label: Tensor, image: Tensor, crowd: Tensor) -> "Truth":
        """From `(M, 4)` and `(M,)` each."""
        none = xyxy.new_tensor([[0.0, 0.0, 1.0, 1.0]])  # has a size, so that it can be encoded
        return cls(
            torch.cat((xyxy, none)),
            torch.cat((label, label.new_zeros(1))),
            torch.cat((image, image.new_full((1,), -1))),
            torch.cat((crowd, crowd.new_zeros(1))),
        )


class Matches(NamedTuple):
    """Of each candidate, `(B, A)` for anchors and `(P,)` for proposals."""

    box: Tensor
    """int64: the row of `Truth` that it overlaps most; 'no box' where its image has none."""
    positive: Tensor
    """bool: it stands for that box."""
    background: Tensor
    """bool: it stands for none. What is neither takes no part in the loss."""


def match_anchors(
    anchors: Tensor,
    truth: Truth,
    images: int,
    *,
    foreground: float,
    background: float,
    forced: Literal["none", "kept", "taken"],
) -> Matches:
    """Match the same anchors in each image, all images at once and without waiting for the device.

    An anchor is positive from an IoU of `foreground` on, and background below `background`. A box
    that no anchor overlaps so much may have one all the same, the one it overlaps most:

    - `none`: no.
    - `kept`: that anchor is positive, and stands for the box that it overlaps most itself
      (Detectron's and torchvision's `allow_low_quality_matches`).
    - `taken`: it stands for this box (SSD, Liu et al. 2016, section 2.2).

    Args:
        anchors: `(A, 4)`.
        truth: of the batch.
        images: B.
        foreground: least IoU of a positive.
        background: IoU that background stays below.
        forced: see above.
    """
    none = len(truth.image) - 1
    row = truth.image.where(truth.image >= 0, images)  # of 'no box': an image beyond the last
    overlap = iou(truth.xyxy, anchors)
    ours = overlap.masked_fill(truth.crowd[:, None], -1.0)
    ours[none] = -1.0
    into = row[:, None].expand_as(ours)
    shape = (images + 1, len(anchors))
    best = ours.new_full(shape, -1.0).scatter_reduce(0, into, ours, "amax")
    number = torch.arange(none + 1, device=row.device)[:, None].expand_as(ours)
    is_best = (ours == best[row]) & (ours >= 0)
    box = number.new_full(shape, none).scatter_reduce(0, into, number.where(is_best, none), "amin")
    positive = best >= foreground
    if forced != "none":
        most = ours.amax(1, keepdim=True)
        claimed = (ours == most) & (most > 0)
        if forced == "taken":
            # Of equal anchors one, and of two boxes that claim one the later.
            first = torch.zeros_like(claimed).scatter_(1, claimed.int().argmax(1, True), True)
            claimed &= first
            taken = number.new_full(shape, -1).scatter_reduce(
                0, into, number.where(claimed, -1), "amax"
            )
            box = taken.where(taken >= 0, box)
        positive = positive | _any(claimed, into, shape)
    negative = (best < background) & ~positive & ~_any(_crowded(truth, anchors), into, shape)
    return Matches(box[:images], positive[:images], negative[:images])


def match_proposals(
    proposals: Tensor, image: Tensor, truth: Truth, *, foreground: float, background: float
) -> Matches:
    """Match proposals `(P, 4)` of images `(P,)`, each against the boxes of its own."""
    none = len(truth.image) - 1
    same = truth.image[:, None] == image[None]
    ours = iou(truth.xyxy, proposals).masked_fill(~same | truth.crowd[:, None], -1.0)
    best, box = ours.max(0)
    in_crowd = (_crowded(truth, proposals) & same).any(0)
    positive = best >= foreground
    negative = (best < background) & ~positive & ~in_crowd
    return Matches(box.where(best >= 0, none), positive, negative)


def _crowded(truth: Truth, candidates: Tensor) -> Tensor:
    """Which of `(N, 4)` lie in which crowd: bool `(M + 1, N)`."""
    inside = intersection(truth.xyxy[:, None], candidates[None])
    return truth.crowd[:, None] & (inside >= IN_CROWD * area(candidates))


def _any(flags: Tensor, into: Tensor, shape: tuple[int, int]) -> Tensor:
    """Bool `shape`: whether any row of `flags` that goes `into` a row is set."""
    zeros = torch.zeros(shape, dtype=torch.uint8, device=flags.device)
    return zeros.scatter_reduce(0, into, flags.to(torch.uint8), "amax").bool()

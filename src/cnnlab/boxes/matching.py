"""Which anchors, or proposals, stand for which box."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from cnnlab.boxes.geometry import area, overlaps

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
        # It has a size, so that it can be encoded; from values here it would wait for the device.
        none = torch.cat((xyxy.new_zeros(1, 2), xyxy.new_ones(1, 2)), 1)
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
    image = truth.image.where(truth.image >= 0, images)  # of 'no box': one beyond the last
    both, overlap = overlaps(truth.xyxy, anchors)
    ours = overlap.masked_fill(truth.crowd[:, None], -1.0)
    ours[none] = -1.0
    # All in float32, which counts boxes exactly to 2^24: integers reduce slowly on a CPU.
    number = torch.arange(none + 1, dtype=ours.dtype, device=ours.device)[:, None]

    def in_image(values: Tensor, start: float, reduce: Literal["amax", "amin"]) -> Tensor:
        """Of a value a box and anchor, one an image and anchor: `(images + 1, A)`."""
        result = values.new_full((images + 1, len(anchors)), start)
        return result.scatter_reduce(0, image[:, None].expand_as(values), values, reduce)

    best = in_image(ours, -1.0, "amax")
    is_best = ours == best.clamp(min=0)[image]  # never of what was marked -1
    box = in_image(number.where(is_best, none), none, "amin")
    crowded = truth.crowd[:, None] & (both >= IN_CROWD * area(anchors))
    marks = crowded.to(ours.dtype)
    if forced != "none":
        most = ours.amax(1, keepdim=True)
        claimed = ours == most.where(most > 0, torch.inf)  # a box that none touches claims none
        if forced == "taken":
            # Of equal anchors one, and of two boxes that claim one the later.
            first = torch.zeros_like(claimed).scatter_(1, claimed.int().argmax(1, True), True)
            claimed &= first
            taken = in_image(number.where(claimed, -1.0), -1.0, "amax")
            box = taken.where(taken >= 0, box)
        marks = marks.masked_fill(claimed, 2.0)
    mark = in_image(marks, 0.0, "amax")
    positive = (best >= foreground) | (mark == 2)
    negative = (best < background) & (mark == 0) & ~positive
    return Matches(box[:images].long(), positive[:images], negative[:images])


def match_proposals(
    proposals: Tensor, image: Tensor, truth: Truth, *, foreground: float, background: float
) -> Matches:
    """Match proposals `(P, 4)` of images `(P,)`, each against the boxes of its own."""
    none = len(truth.image) - 1
    same = truth.image[:, None] == image[None]
    both, overlap = overlaps(truth.xyxy, proposals)
    best, box = overlap.masked_fill(~same | truth.crowd[:, None], -1.0).max(0)
    crowded = truth.crowd[:, None] & same & (both >= IN_CROWD * area(proposals))
    positive = best >= foreground
    negative = (best < background) & ~positive & ~crowded.any(0)
    return Matches(box.where(best >= 0, none), positive, negative)

"""How far a predicted box is from the true one."""

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from cnnlab.boxes.geometry import area, decode, encode, intersection

BoxLoss = Literal["l1", "smooth_l1", "giou", "diou", "ciou"]
SMOOTH = 1 / 9
"""Below which difference smooth L1 is quadratic (Detectron's RPN and RetinaNet)."""
EPS = 1e-7
"""Added to divisors, as torchvision has it."""
LEAST_SIDE = 1e-3
"""In pixels, of boxes whose shapes are compared."""


def box_loss(
    kind: BoxLoss,
    deltas: Tensor,
    anchors: Tensor,
    boxes: Tensor,
    *,
    spread: Tensor | None = None,
    smooth: float = SMOOTH,
) -> Tensor:
    """The loss of each candidate, float32 `(...)`; those that stand for no box are to be masked.

    l1 and smooth_l1 compare encoded boxes and sum over the four offsets (Girshick 2015); giou
    (Rezatofighi et al. 2019), diou and ciou (Zheng et al. 2020) compare boxes. torchvision's forms
    of these three select by flags, and so wait for the device.

    Args:
        kind: which.
        deltas: `(..., 4)`.
        anchors: `(..., 4)`, broadcast.
        boxes: `(..., 4)`, with sides above 0.
        spread: `(4,)`: unit of the offsets, where these are compared; None: 1.
        smooth: below which difference, in this unit, smooth_l1 is quadratic.
    """
    if kind == "l1" or kind == "smooth_l1":
        off = deltas.float() - encode(boxes, anchors)
        if spread is not None:
            off = off / spread
        beta = smooth if kind == "smooth_l1" else 0.0
        return F.smooth_l1_loss(off, torch.zeros_like(off), reduction="none", beta=beta).sum(-1)
    return _by_overlap(kind, decode(deltas, anchors), boxes)


def _by_overlap(kind: Literal["giou", "diou", "ciou"], placed: Tensor, boxes: Tensor) -> Tensor:
    both = intersection(placed, boxes)
    union = area(placed) + area(boxes) - both
    iou = both / (union + EPS)
    hull = torch.cat(
        (
            torch.minimum(placed[..., :2], boxes[..., :2]),
            torch.maximum(placed[..., 2:], boxes[..., 2:]),
        ),
        -1,
    )
    if kind == "giou":
        whole = area(hull)
        return 1 - iou + (whole - union) / (whole + EPS)
    diagonal = (hull[..., 2:] - hull[..., :2]).square().sum(-1)
    apart = (_centres(placed) - _centres(boxes)).square().sum(-1)
    loss = 1 - iou + apart / (diagonal + EPS)
    return loss if kind == "diou" else loss + _of_shape(placed, boxes, iou.detach())


def _of_shape(placed: Tensor, boxes: Tensor, iou: Tensor) -> Tensor:
    """`a v` of Zheng et al. 2020, eq. 8 to 11, whose `a` is a constant to the gradient."""
    # torchvision divides by the height: a box that is too low for float32 has no gradient there.
    angles = [torch.atan2(*_sides(x).unbind(-1)) for x in (boxes, placed)]
    v = 4 / math.pi**2 * (angles[0] - angles[1]).square()
    a = v.detach() / (1 - iou + v.detach() + EPS)
    return a * v


def _sides(boxes: Tensor) -> Tensor:
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=LEAST_SIDE)


def _centres(boxes: Tensor) -> Tensor:
    return (boxes[..., :2] + boxes[..., 2:]) / 2

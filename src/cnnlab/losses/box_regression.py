"""How far a predicted box is from the true one."""

from typing import Literal, assert_never

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import complete_box_iou_loss, distance_box_iou_loss, generalized_box_iou_loss

from cnnlab.boxes.geometry import decode, encode

BoxLoss = Literal["l1", "smooth_l1", "giou", "diou", "ciou"]
SMOOTH = 1 / 9
"""Below which difference smooth L1 is quadratic (Detectron's RPN and RetinaNet)."""


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
    (Rezatofighi et al. 2019), diou and ciou (Zheng et al. 2020) compare boxes.

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
    placed = decode(deltas, anchors)
    if kind == "giou":
        return generalized_box_iou_loss(placed, boxes)
    if kind == "diou":
        return distance_box_iou_loss(placed, boxes)
    if kind == "ciou":
        return complete_box_iou_loss(placed, boxes)
    assert_never(kind)

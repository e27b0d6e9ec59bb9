"""Areas, overlaps, and boxes as offsets from anchors."""

import math

import torch
from torch import Tensor

MOST_GROWTH = math.log(1000 / 16)
"""Of the logarithm of a side when decoded, so that a wild prediction stays finite (Girshick's
Detectron; torchvision has the same)."""

SPREAD = (0.1, 0.1, 0.2, 0.2)
"""Typical size of the offsets dx, dy, dw, dh of a box from an anchor or proposal that is matched
to it. SSD and second stages predict them in this unit, so that they are near 1 (released code of
SSD and Fast R-CNN; torchvision's weights 10, 10, 5, 5 are its inverse)."""


def area(boxes: Tensor) -> Tensor:
    """Of `(..., 4)`: `(...)`."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def intersection(a: Tensor, b: Tensor) -> Tensor:
    """The area that boxes share; `(..., 4)` against `(..., 4)`, broadcast."""
    left_top = torch.maximum(a[..., :2], b[..., :2])
    right_bottom = torch.minimum(a[..., 2:], b[..., 2:])
    width, height = (right_bottom - left_top).clamp(min=0).unbind(-1)
    return width * height


def overlaps(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Intersection in pixels, and over the union; `(N, 4)` against `(M, 4)` gives `(N, M)` each.

    Of two empty boxes 0.
    """
    # Each coordinate in a row of its own: three times as fast on a CPU as pairs of them.
    left, top, right, bottom = a.T.contiguous()[..., None].unbind()
    left_b, top_b, right_b, bottom_b = b.T.contiguous().unbind()
    width = torch.minimum(right, right_b) - torch.maximum(left, left_b)
    height = torch.minimum(bottom, bottom_b) - torch.maximum(top, top_b)
    both = width.clamp(min=0) * height.clamp(min=0)
    union = area(a)[:, None] + area(b) - both
    return both, both / union.clamp(min=torch.finfo(both.dtype).tiny)


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union, 0 of empty boxes; `(N, 4)` against `(M, 4)` gives `(N, M)`."""
    return overlaps(a, b)[1]


def encode(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Offsets of `boxes` from `anchors`, `(..., 4)` each: dx, dy, dw, dh (Girshick et al. 2014).

    Of the centre, in sides of the anchor; the logarithm of the ratio of the sides. Sides must be
    above 0.
    """
    centre, side = _centres(boxes)
    from_centre, from_side = _centres(anchors)
    return torch.cat(((centre - from_centre) / from_side, (side / from_side).log()), -1)


def decode(deltas: Tensor, anchors: Tensor) -> Tensor:
    """The boxes `(..., 4)` that `encode` makes `deltas` of, in float32."""
    from_centre, from_side = _centres(anchors)
    deltas = deltas.float()
    centre = from_centre + deltas[..., :2] * from_side
    half = from_side * deltas[..., 2:].clamp(max=MOST_GROWTH).exp() / 2
    return torch.cat((centre - half, centre + half), -1)


def clipped(boxes: Tensor, height: Tensor | float, width: Tensor | float) -> Tensor:
    """`boxes` `(N, 4)` cut to images of `height` and `width` (a number, or one each `(N,)`)."""
    x1, y1, x2, y2 = boxes.unbind(-1)
    zero = x1.new_zeros(())
    high = torch.as_tensor(height, device=x1.device, dtype=x1.dtype)
    wide = torch.as_tensor(width, device=x1.device, dtype=x1.dtype)
    cut = (x.clamp(zero, limit) for x, limit in ((x1, wide), (y1, high), (x2, wide), (y2, high)))
    return torch.stack(tuple(cut), -1)


def _centres(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Centres and sides `(..., 2)` each."""
    side = boxes[..., 2:] - boxes[..., :2]
    return boxes[..., :2] + side / 2, side

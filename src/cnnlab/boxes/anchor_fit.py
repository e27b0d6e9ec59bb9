"""Anchor shapes fitted to boxes, by k-means with 1 - IoU as the distance.

Redmon and Farhadi 2017, arXiv:1612.08242, section 2 ("dimension clusters").
"""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from cnnlab.boxes.coverage import Level

ROOM = 0.6
"""Least IoU of a box and an anchor of its own shape, wherever the box lies between the cells of
its level. Squares need 3.7 strides for it: about the 4 of RetinaNet's least anchor."""
_MOST_ROUNDS = 100


def shape_iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU of widths and heights `(N, 2)` and `(K, 2)` about the same centre: `(N, K)`."""
    both = torch.minimum(a[:, None], b).prod(-1)
    return both / (a.prod(-1)[:, None] + b.prod(-1) - both)


def kmeans(sides: Tensor, count: int, seed: int) -> Tensor:
    """`count` shapes that stand for widths and heights `(N, 2)`, the smallest area first.

    Starts from boxes drawn as k-means++ does (Arthur and Vassilvitskii 2007), and goes on with the
    means of the clusters until none changes, 100 rounds at most.

    Args:
        sides: above 0.
        count: K, at most N.
        seed: of the start; equal arguments give equal shapes.
    """
    generator = Generator().manual_seed(seed)
    first = torch.randint(len(sides), (1,), generator=generator)
    centres = sides[first]
    far = 1 - shape_iou(sides, centres)[:, 0]
    while len(centres) < count:
        chance = far.square()
        if not chance.sum() > 0:  # fewer different boxes than shapes
            chance = torch.ones_like(far)
        centres = torch.cat((centres, sides[chance.multinomial(1, generator=generator)]))
        far = far.minimum(1 - shape_iou(sides, centres[-1:])[:, 0])
    own = torch.full((len(sides),), -1)
    for _ in range(_MOST_ROUNDS):
        nearest = shape_iou(sides, centres).argmax(1)
        if torch.equal(nearest, own):
            break
        own = nearest
        sums = torch.zeros_like(centres).index_add_(0, own, sides)
        sizes = own.bincount(minlength=count)[:, None]
        centres = torch.where(sizes > 0, sums / sizes.clamp(min=1), centres)
    return centres[centres.prod(1).argsort()]


def deal(sides: Tensor, levels: Sequence[Level]) -> Tensor:
    """The level `(N,)` that each box, of widths and heights `(N, 2)`, belongs to.

    The coarsest on which an anchor of the box's own shape overlaps it by `ROOM` or more wherever it
    lies; the finest where none does. Half a step off in x and in y, the share of a box that such an
    anchor covers is (1 - step_x / 2 w)(1 - step_y / 2 h), and the IoU share / (2 - share).
    """
    steps = torch.tensor([level.step for level in levels])
    share = (1 - steps / (2 * sides[:, None])).clamp(min=0).prod(-1)
    fits = share / (2 - share) >= ROOM
    return torch.where(fits, torch.arange(len(levels)), 0).amax(1)


def fit_anchors(sides: Tensor, level: Tensor, shapes: Sequence[Tensor], seed: int) -> list[Tensor]:
    """Of each level as many shapes as it has, fitted to its boxes; its own where these are fewer.

    Args:
        sides: widths and heights of N boxes, `(N, 2)`.
        level: which level each belongs to, `(N,)`, see `deal`.
        shapes: `(n, 2)` of each level.
        seed: of the start.
    """
    fitted = []
    for i, old in enumerate(shapes):
        own = sides[level == i]
        fitted.append(_rounded(kmeans(own, len(old), seed) if len(own) >= len(old) else old))
    return fitted


def _rounded(shapes: Tensor) -> Tensor:
    """To what is written into a config: tenths below 100 pixels, then whole ones."""
    return torch.where(shapes < 100, (shapes * 10).round() / 10, shapes.round()).clamp(min=0.1)

"""RetinaNet over any backbone (Lin et al. 2017, arXiv:1708.02002; deck 2)."""

import math
from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn

from cnnlab.heads.anchors import Anchors
from cnnlab.heads.detection import DetectionHead
from cnnlab.heads.fpn import FPN

PRIOR = 0.01
"""What each anchor's classes have as probability at first (section 4.1), so that the many that are
background do not swamp the first steps."""
GROUP = 8
"""Channels that GroupNorm normalises together: 32 groups of 256 (Wu & He 2018). Of one alone
nothing would be left where a map has a single cell."""


class RetinaNet(DetectionHead):
    """Two towers of convolutions, shared by all levels of a pyramid: one scores, one places.

    Args:
        backbone: makes the net, see `FeatureHead`.
        num_classes: K.
        in_chans: image channels.
        levels: maps with anchors.
        width: channels of pyramid and towers.
        depth: convolutions of a tower.
        norm: GroupNorm after each of them, or none, as in the paper.
        anchors: their shapes.
    """

    gives = "sigmoid scores"

    def __init__(
        self,
        backbone: Callable[..., nn.Module],
        num_classes: int,
        in_chans: int,
        *,
        levels: int,
        width: int,
        depth: int,
        norm: Literal["group"] | None,
        anchors: Anchors,
    ) -> None:
        super().__init__(backbone, num_classes, in_chans, levels=levels, anchors=anchors)
        self.neck = FPN(self.used, width, levels)
        per_cell = anchors.per_cell
        self.scoring = tower(width, depth, num_classes * per_cell, norm)
        self.placing = tower(width, depth, 4 * per_cell, norm)
        bias = last(self.scoring).bias
        assert bias is not None
        nn.init.constant_(bias, -math.log((1 - PRIOR) / PRIOR))

    def get_classifier(self) -> tuple[nn.Module, ...]:
        return (last(self.scoring),)

    def score(self, maps: list[Tensor]) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        levels = self.neck(maps)
        return levels, [self.scoring(x) for x in levels], [self.placing(x) for x in levels]


def tower(width: int, depth: int, out: int, norm: Literal["group"] | None) -> nn.Sequential:
    """`depth` 3x3 convolutions with ReLU, and one to `out` channels; weights from N(0, 0.01)."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers.append(nn.Conv2d(width, width, 3, padding=1, bias=norm is None))
        if norm is not None:
            layers.append(nn.GroupNorm(width // math.gcd(GROUP, width), width))
        layers.append(nn.ReLU(inplace=True))
    layers.append(nn.Conv2d(width, out, 3, padding=1))
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, std=0.01)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)


def last(tower: nn.Sequential) -> nn.Conv2d:
    """The convolution that ends a tower."""
    layer = tower[-1]
    assert isinstance(layer, nn.Conv2d)
    return layer

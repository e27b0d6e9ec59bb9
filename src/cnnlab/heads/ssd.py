"""SSD over any backbone (Liu et al. 2016, arXiv:1512.02325)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from cnnlab.boxes.geometry import SPREAD
from cnnlab.heads.anchors import Anchors
from cnnlab.heads.detection import DetectionHead


class SSD(DetectionHead):
    """Each map by itself: a 3x3 convolution scores its anchors, one places them; no pyramid.

    Coarser maps follow the backbone's by a 1x1 and a 3x3 convolution of stride 2 each, as the
    paper's conv8 to conv11. Its scaling of conv4_3 by the L2 norm is left out: it makes up for
    VGG, whose maps have no normalisation.

    Args:
        backbone: makes the net, see `FeatureHead`.
        num_classes: K.
        in_chans: image channels.
        levels: maps with anchors.
        width: channels of the maps that follow the backbone's.
        anchors: their shapes.
    """

    gives = "softmax scores"
    background = True

    def __init__(
        self,
        backbone: Callable[..., nn.Module],
        num_classes: int,
        in_chans: int,
        *,
        levels: int,
        width: int,
        anchors: Anchors,
    ) -> None:
        super().__init__(backbone, num_classes, in_chans, levels=levels, anchors=anchors)
        channels = list(self.used)
        self.further = nn.ModuleList()
        while len(channels) < levels:
            self.further.append(_halving(channels[-1], width))
            channels.append(width)
        each, n = 1 + num_classes, anchors.per_cell
        self.scoring = nn.ModuleList(nn.Conv2d(c, each * n, 3, padding=1) for c in channels)
        self.placing = nn.ModuleList(nn.Conv2d(c, 4 * n, 3, padding=1) for c in channels)
        for part in (self.further, self.scoring, self.placing):
            for layer in part.modules():
                if isinstance(layer, nn.Conv2d):
                    nn.init.xavier_uniform_(layer.weight)
                    assert layer.bias is not None
                    nn.init.zeros_(layer.bias)
        self.register_buffer("spread", torch.tensor(SPREAD)[:, None, None], persistent=False)

    def get_classifier(self) -> tuple[nn.Module, ...]:
        return tuple(self.scoring)

    def score(self, maps: list[Tensor]) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        levels = list(maps)
        for halve in self.further:
            levels.append(halve(levels[-1]))
        scores = [conv(x) for conv, x in zip(self.scoring, levels, strict=True)]
        spread = self.get_buffer("spread").repeat(self.anchors.per_cell, 1, 1)
        deltas = [conv(x) * spread for conv, x in zip(self.placing, levels, strict=True)]
        return levels, scores, deltas


def _halving(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, width // 2, 1),
        nn.ReLU(inplace=True),
        nn.Conv2d(width // 2, width, 3, 2, 1),
        nn.ReLU(inplace=True),
    )

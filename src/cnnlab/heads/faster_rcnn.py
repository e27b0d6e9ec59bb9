"""Faster R-CNN over a feature pyramid (Ren et al. 2015; Lin et al. 2017; deck 2)."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cnnlab.boxes.geometry import SPREAD
from cnnlab.heads.roi import Canvas, align, lay_out
from cnnlab.heads.two_stage import Second, TwoStage


class FasterRCNN(TwoStage):
    """RoIAlign from the level that fits each proposal, two linear layers, a box a class.

    Proposals are read from the levels that stand on maps of the backbone; those beyond only
    propose, as in the paper.

    Args:
        backbone: makes the net, see `FeatureHead`.
        num_classes: K.
        in_chans: image channels.
        width: channels of the pyramid.
        bins: a side, of what is read of a proposal.
        hidden: features of both linear layers.
        common: as of `TwoStage`.
    """

    def __init__(
        self,
        backbone: Callable[..., nn.Module],
        num_classes: int,
        in_chans: int,
        *,
        width: int,
        bins: int,
        hidden: int,
        **common: Any,
    ) -> None:
        super().__init__(backbone, num_classes, in_chans, width=width, **common)
        self.bins = bins
        self.fc6 = nn.Linear(width * bins**2, hidden)
        self.fc7 = nn.Linear(hidden, hidden)
        self.scoring = nn.Linear(hidden, 1 + num_classes)
        self.placing = nn.Linear(hidden, 4 * num_classes)
        # Girshick 2015, section 3.1.
        for layer, std in ((self.scoring, 0.01), (self.placing, 0.001)):
            nn.init.normal_(layer.weight, std=std)
            nn.init.zeros_(layer.bias)
        self.register_buffer("spread", torch.tensor(SPREAD), persistent=False)

    def get_classifier(self) -> tuple[nn.Module, ...]:
        return self.rpn.scoring, self.scoring

    def second(self, levels: list[Tensor], size: tuple[int, int]) -> Second:
        return partial(self.look, lay_out(levels[: len(self.used)], size))

    def look(self, canvas: Canvas, proposals: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """Scores `(P, 1 + K)` and deltas `(P, K, 4)` of proposals `(P, 4)` of images `(P,)`."""
        read = align(canvas, proposals, image, self.bins)
        x = F.relu(self.fc6(read.flatten(1).to(self.fc6.weight.dtype)))
        x = F.relu(self.fc7(x))
        deltas = self.placing(x).view(len(x), self.num_classes, 4)
        return self.scoring(x), deltas * self.get_buffer("spread")

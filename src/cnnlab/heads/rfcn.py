"""R-FCN: the parts of a box vote on it (Dai et al. 2016, arXiv:1605.06409; deck 2)."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cnnlab.boxes.geometry import SPREAD
from cnnlab.heads.roi import vote
from cnnlab.heads.two_stage import Second, TwoStage


class RFCN(TwoStage):
    """Maps of scores for each part of a box, read where the part lies; nothing is learnt after.

    For each of `bins` x `bins` parts of a box there is a map of each class's score and of each
    offset; a proposal's are the means over its parts. Boxes are the same for all classes.

    The paper's maps stand on a backbone whose last stage is dilated to stride 16; these stand on
    the pyramid's level of that stride, which sees the coarser stages, too. One 3x3 convolution
    stands for the paper's 1x1 to 1024 channels.

    Args:
        backbone: makes the net, see `FeatureHead`.
        num_classes: K.
        in_chans: image channels.
        width: channels of the pyramid.
        bins: k, parts a side.
        stride: of the level with these maps; the level whose stride is nearest.
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
        stride: int,
        **common: Any,
    ) -> None:
        super().__init__(backbone, num_classes, in_chans, width=width, **common)
        self.bins = bins
        self.level = min(range(len(self.strides)), key=lambda i: abs(self.strides[i] - stride))
        self.mix = nn.Conv2d(width, width, 3, padding=1)
        self.scoring = nn.Conv2d(width, (1 + num_classes) * bins**2, 1)
        self.placing = nn.Conv2d(width, 4 * bins**2, 1)
        for layer in (self.mix, self.scoring, self.placing):
            nn.init.normal_(layer.weight, std=0.01)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
        self.register_buffer("spread", torch.tensor(SPREAD), persistent=False)

    def get_classifier(self) -> tuple[nn.Module, ...]:
        return self.rpn.scoring, self.scoring

    def second(self, levels: list[Tensor], size: tuple[int, int]) -> Second:
        x = F.relu(self.mix(levels[self.level]))
        return partial(self.look, self.scoring(x), self.placing(x), size)

    def look(
        self,
        scores: Tensor,
        deltas: Tensor,
        size: tuple[int, int],
        proposals: Tensor,
        image: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Scores `(P, 1 + K)` and deltas `(P, 4)` of proposals `(P, 4)` of images `(P,)`."""
        placed = vote(deltas, proposals, image, self.bins, size)
        return (
            vote(scores, proposals, image, self.bins, size),
            placed * self.get_buffer("spread"),
        )

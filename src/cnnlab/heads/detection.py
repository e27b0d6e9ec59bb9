"""What all anchor-based heads share: which maps they stand on, and their anchors."""

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from cnnlab.boxes.outputs import AnchorOutputs
from cnnlab.heads.anchors import Anchors
from cnnlab.heads.features import FeatureHead

FINEST = 8
"""Stride of the finest map that detection stands on (Lin et al. 2017: P3)."""
MOST_MAPS = 3
"""Of the backbone; further levels are computed from the coarsest."""


class DetectionHead(FeatureHead):
    """Base: `(B, C, H, W)` images -> `AnchorOutputs` for K classes, any H and W.

    Stands on the backbone's maps of stride 8 and more, the three coarsest at most; on the coarsest
    where there is none, as of nets for small images. Of maps of one stride, as of dilated nets, it
    takes the deepest. Their pyramid goes on to `levels` maps, each of half the side.

    A head implements `score`; one of two stages `complete`, too.

    Args:
        backbone: makes the net, see `FeatureHead`.
        num_classes: K.
        in_chans: image channels.
        levels: maps with anchors.
        anchors: their shapes.

    Attributes:
        used: channels of the maps that the head stands on, the finest first.
        strides: of all levels.
    """

    tasks: ClassVar[tuple[str, ...]] = ("detection",)
    gives: ClassVar[str]
    """What its outputs are, which a loss `takes` or not; both are read by `cnnlab.config`."""
    background: bool = False
    """Whether the scores are of a softmax whose first class is 'none'."""

    def __init__(
        self,
        backbone: Callable[..., nn.Module],
        num_classes: int,
        in_chans: int,
        *,
        levels: int,
        anchors: Anchors,
    ) -> None:
        super().__init__(backbone, in_chans)
        deepest = {stride: i for i, stride in enumerate(self.reductions)}
        coarse = [i for stride, i in deepest.items() if stride >= FINEST]
        self._used = coarse[-min(MOST_MAPS, levels) :] or [len(self.reductions) - 1]
        self.used = [self.channels[i] for i in self._used]
        strides = [self.reductions[i] for i in self._used]
        while len(strides) < levels:
            strides.append(2 * strides[-1])
        self.strides = strides
        self.num_classes, self.anchors = num_classes, anchors
        for i, shape in enumerate(anchors.shapes(strides)):
            self.register_buffer(f"shape{i}", shape, persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "DetectionHead":
        # Shapes go where the net goes, but are not cast: in bfloat16 corners would be pixels off.
        exact = self._shapes()
        super()._apply(fn, recurse)
        for i, (shape, moved) in enumerate(zip(exact, self._shapes(), strict=True)):
            self.register_buffer(f"shape{i}", shape.to(moved.device), persistent=False)
        return self

    def _shapes(self) -> list[Tensor]:
        return [self.get_buffer(f"shape{i}") for i in range(len(self.strides))]

    def score(self, maps: list[Tensor]) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Of the backbone's maps: the levels, and of each level scores and deltas.

        Scores `(B, n * S, h, w)` and deltas `(B, n * 4, h, w)` for n anchors a cell with S scores
        each.
        """
        raise NotImplementedError(type(self).__name__)

    def complete(self, outputs: AnchorOutputs, levels: list[Tensor]) -> AnchorOutputs:
        """What a second stage over the levels adds."""
        return outputs

    def forward(self, images: Tensor) -> AnchorOutputs:
        maps = self.maps(images)
        levels, scores, deltas = self.score([maps[i] for i in self._used])
        sizes = [(x.shape[-2], x.shape[-1]) for x in levels]
        size = (images.shape[-2], images.shape[-1])
        outputs = AnchorOutputs(
            flat(scores, self.anchors.per_cell),
            flat(deltas, self.anchors.per_cell),
            self.anchors.grid(sizes, size, self._shapes()),
            tuple(h * w * self.anchors.per_cell for h, w in sizes),
            size,
            self.background,
        )
        return self.complete(outputs, levels)


def flat(maps: Sequence[Tensor], per_cell: int) -> Tensor:
    """Maps `(B, n * K, h, w)` of several levels to `(B, A, K)`, in the order of the anchors."""
    parts = []
    for x in maps:
        batch, channels, height, width = x.shape
        x = x.view(batch, per_cell, channels // per_cell, height, width)
        parts.append(x.permute(0, 3, 4, 1, 2).flatten(1, 3))
    return torch.cat(parts, 1)

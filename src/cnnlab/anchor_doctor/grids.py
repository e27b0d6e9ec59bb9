"""The anchors of a net at any image size."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cnnlab.anchor_doctor.seen import Seen
from cnnlab.boxes.anchor_fit import deal
from cnnlab.boxes.coverage import Coverage, Level, coverage, levels_of
from cnnlab.boxes.outputs import AnchorOutputs


class Grids:
    """Asks the net itself, one forward pass a size.

    Args:
        net: gives `AnchorOutputs` of float32 images.
        channels: of its images.
    """

    def __init__(self, net: nn.Module, channels: int) -> None:
        self._net, self._channels = net, channels
        self._anchors: dict[tuple[int, int], Tensor] = {}
        self._levels: dict[tuple[int, int], list[Level]] = {}

    def anchors(self, size: tuple[int, int]) -> Tensor:
        """All of them in an image of this height and width, `(A, 4)`."""
        self._ask(size)
        return self._anchors[size]

    def levels(self, size: tuple[int, int], shapes: Sequence[Tensor] | None = None) -> list[Level]:
        """Its grids at this height and width, with the net's own shapes or with others."""
        self._ask(size)
        own = self._levels[size]
        if shapes is None:
            return own
        return [level._replace(shapes=new) for level, new in zip(own, shapes, strict=True)]

    def cover(self, seen: Seen, shapes: Sequence[Tensor] | None = None) -> Coverage:
        """Of each box the best of the net's anchors, or of those of other shapes."""
        groups = list(seen.groups())
        found = [coverage(seen.xyxy[rows], self.levels(size, shapes)) for size, rows in groups]
        back = torch.cat([rows for _, rows in groups]).argsort()
        return Coverage(*(torch.cat(parts)[back] for parts in zip(*found, strict=True)))

    def deal(self, seen: Seen) -> Tensor:
        """The level that each box belongs to, int64 `(N,)`; see `anchor_fit.deal`."""
        groups = list(seen.groups())
        dealt = [deal(seen.sides[rows], self.levels(size)) for size, rows in groups]
        return torch.cat(dealt)[torch.cat([rows for _, rows in groups]).argsort()]

    def _ask(self, size: tuple[int, int]) -> None:
        if size in self._levels:
            return
        was_training = self._net.training
        self._net.eval()
        with torch.no_grad():
            outputs: AnchorOutputs = self._net(torch.zeros(1, self._channels, *size))
        self._net.train(was_training)
        self._anchors[size], self._levels[size] = outputs.anchors, levels_of(outputs)

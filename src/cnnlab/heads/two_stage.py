"""What detectors of two stages share: a pyramid and a region proposal network."""

from collections.abc import Callable

from torch import Tensor, nn

from cnnlab.boxes.outputs import AnchorOutputs, Proposing
from cnnlab.heads.anchors import Anchors
from cnnlab.heads.detection import DetectionHead
from cnnlab.heads.fpn import FPN
from cnnlab.heads.rpn import RPN

Second = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Proposals `(P, 4)` of images `(P,)` to scores and deltas, as in `AnchorOutputs`."""


class TwoStage(DetectionHead):
    """Base: the anchors propose, a second stage classifies and places the proposals.

    A head implements `second`.

    Args:
        backbone: makes the net, see `FeatureHead`.
        num_classes: K.
        in_chans: image channels.
        levels: maps with anchors.
        width: channels of the pyramid.
        class_aware: whether the first stage scores K classes and 'none' (`ClassAwareRPN`) instead
            of 'object'.
        anchors: their shapes.
        proposals: which anchors the second stage gets.
    """

    gives = "proposals"

    def __init__(
        self,
        backbone: Callable[..., nn.Module],
        num_classes: int,
        in_chans: int,
        *,
        levels: int,
        width: int,
        class_aware: bool,
        anchors: Anchors,
        proposals: Proposing,
    ) -> None:
        super().__init__(backbone, num_classes, in_chans, levels=levels, anchors=anchors)
        self.neck = FPN(self.used, width, levels)
        self.rpn = RPN(width, anchors.per_cell, 1 + num_classes if class_aware else 1)
        self.background = class_aware
        self.proposals = proposals

    def second(self, levels: list[Tensor], size: tuple[int, int]) -> Second:
        """The second stage over the pyramid of images of `size`."""
        raise NotImplementedError(type(self).__name__)

    def score(self, maps: list[Tensor]) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        levels = self.neck(maps)
        return levels, *self.rpn(levels)

    def complete(self, outputs: AnchorOutputs, levels: list[Tensor]) -> AnchorOutputs:
        second = self.second(levels, outputs.size)
        return outputs._replace(second=second, proposing=self.proposals)

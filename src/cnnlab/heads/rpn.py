"""Region proposal network: objects, of whatever class, from every cell (Ren et al. 2015)."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from cnnlab.heads.anchors import Anchors
from cnnlab.heads.detection import DetectionHead
from cnnlab.heads.fpn import FPN


class RPN(nn.Module):
    """A 3x3 convolution, shared by all levels, then scores and places by 1x1; from N(0, 0.01).

    Args:
        width: channels of the maps.
        per_cell: anchors a cell.
        scores: of each anchor: 1, a sigmoid for 'object'; or 1 + K, a softmax with 'none'.
    """

    def __init__(self, width: int, per_cell: int, scores: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.scoring = nn.Conv2d(width, scores * per_cell, 1)
        self.placing = nn.Conv2d(width, 4 * per_cell, 1)
        for layer in (self.conv, self.scoring, self.placing):
            nn.init.normal_(layer.weight, std=0.01)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def forward(self, levels: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        hidden = [F.relu(self.conv(x)) for x in levels]
        return [self.scoring(x) for x in hidden], [self.placing(x) for x in hidden]


class ClassAwareRPN(DetectionHead):
    """An RPN that scores K classes and 'none', as a detector of one stage (deck 2).

    The "class-aware RPN" of Dai et al. 2017 (arXiv:1703.06211, section 4.1): the two-class
    convolution of the RPN gives way to one of K + 1 classes; a simplified SSD. Here over a pyramid.

    Args:
        backbone: makes the net, see `FeatureHead`.
        num_classes: K.
        in_chans: image channels.
        levels: maps with anchors.
        width: channels of the pyramid.
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
        self.neck = FPN(self.used, width, levels)
        self.rpn = RPN(width, anchors.per_cell, 1 + num_classes)

    def get_classifier(self) -> tuple[nn.Module, ...]:
        return (self.rpn.scoring,)

    def score(self, maps: list[Tensor]) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        levels = self.neck(maps)
        return levels, *self.rpn(levels)

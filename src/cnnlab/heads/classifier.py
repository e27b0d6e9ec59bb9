"""The net's own classifier."""

from collections.abc import Callable
from typing import Any, ClassVar

from timm.models import group_parameters
from torch import Tensor, nn


class Classifier(nn.Module):
    """Pooling, dropout, linear, as the net's paper has them (timm's).

    `(B, C, H, W) -> (B, num_classes)` logits.
    """

    tasks: ClassVar[tuple[str, ...]] = ("classification", "multilabel")

    def __init__(self, backbone: Callable[..., nn.Module], num_classes: int, in_chans: int) -> None:
        super().__init__()
        self.backbone = backbone(num_classes=num_classes, in_chans=in_chans)

    def forward(self, images: Tensor) -> Any:
        return self.backbone(images)

    def get_classifier(self) -> nn.Module | tuple[nn.Module, ...]:
        """The last layer, or layers, under timm's name for it."""
        # nn.Module types attributes as Tensor or Module.
        return self.backbone.get_classifier()  # type: ignore[operator]

    def group_matcher(self, coarse: bool = False) -> Callable[[str], float]:
        """The backbone's layer groups, for timm's layer-wise learning rates."""
        # nn.Module types attributes as Tensor or Module.
        matcher = self.backbone.group_matcher(coarse=coarse)  # type: ignore[operator]
        layers = group_parameters(self.backbone, matcher, reverse=True)
        return lambda name: layers[name.removeprefix("backbone.")]

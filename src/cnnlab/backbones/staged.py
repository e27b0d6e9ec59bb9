"""What every home-made net has in common: children that run in order, and timm's protocol."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn


class StagedNet(nn.Module):
    """A net whose children `stem` (if any), `stage1` ... `stageN`, `head` run in that order.

    timm's `features_only=True` replays the children up to the last stage wanted, so features come
    from the same code as the classifier. A subclass registers the stem, calls `add_stage`, and
    registers `head`: a module with the linear layer `fc` and `reset(num_classes)`. No child that
    is not run in this order may stand before the last stage.

    `(B, in_chans, H, W) -> (B, num_classes)`
    """

    head: nn.Module

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.num_features = 0
        self.feature_info: list[dict[str, Any]] = []

    def add_stage(self, stage: nn.Module, channels: int, reduction: int) -> None:
        """Register the next stage; one pixel of its maps stands for `reduction` of the image."""
        name = f"stage{len(self.feature_info) + 1}"
        self.add_module(name, stage)
        self.feature_info.append({"num_chs": channels, "reduction": reduction, "module": name})
        self.num_features = channels

    def trunk(self) -> Iterator[nn.Module]:
        """The stem and the stages, in order."""
        for name, child in self.named_children():
            if name == "head":
                return
            yield child

    def forward_features(self, images: Tensor) -> Tensor:
        """The last stage's maps, `(B, num_features, H / s, W / s)`."""
        for child in self.trunk():
            images = child(images)
        return images

    def forward_head(self, features: Tensor) -> Tensor:
        """Logits, `(B, num_classes)`."""
        return self.head(features)

    def forward(self, images: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(images))

    def get_classifier(self) -> nn.Module:
        """The last linear layer."""
        fc: Any = self.head.fc
        return fc

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """A fresh last layer for `num_classes`; 0 removes it."""
        self.num_classes = num_classes
        # nn.Module types attributes as Tensor or Module.
        self.head.reset(num_classes)  # type: ignore[operator]

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Name timm's layer groups: a group a block, or a stage if `coarse` (layer-wise decay)."""
        block = r"^stage(\d+)" if coarse else r"^stage(\d+)\.(\d+)"
        return {"stem": r"^stem", "blocks": block}

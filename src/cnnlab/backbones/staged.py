"""What every home-made net has in common: children that run in order, and timm's protocol."""

from collections.abc import Iterator
from typing import Any, ClassVar

from torch import Tensor, nn

from cnnlab.errors import UserError


class StagedNet(nn.Module):
    """A net whose children `stem` (if any), `stage1` ... `stageN`, `head` run in that order.

    timm's `features_only=True` replays the children up to the last stage wanted, so features come
    from the same code as the classifier. A subclass registers the stem, calls `add_stage`, and
    registers `head`: a module with the linear layer `fc` and `reset(num_classes)`. No child that
    is not run in this order may stand before the last stage.

    `(B, in_chans, H, W) -> (B, num_classes)`
    """

    head: nn.Module
    sides: ClassVar[range | None] = None
    """Heights and widths in pixels that the classifier takes, where its fully connected layers are
    of a fixed size; None: any. As a feature extractor every net takes others."""

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
        self._check_size(*images.shape[-2:])
        return self.forward_head(self.forward_features(images))

    def _check_size(self, height: int, width: int) -> None:
        """Before the stages, which fail on images far too small in torch's words.

        Raises:
            UserError: the classifier does not take this size.
        """
        if self.sides is not None and not {height, width}.issubset(self.sides):
            # timm writes the configuration of the name that was asked for into a net.
            cfg: Any = getattr(self, "pretrained_cfg", {})
            low, high = self.sides[0], self.sides[-1]
            raise UserError(
                f"model.name={cfg.get('architecture', type(self).__name__)} classifies images of "
                f"{low}x{low} to {high}x{high} pixels (its fully connected layers have a fixed "
                f"size); these have {height}x{width}"
            )

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

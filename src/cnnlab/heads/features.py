"""A backbone as a stack of maps, which all dense heads stand on."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn


class FeatureHead(nn.Module):
    """Base of the heads that take the backbone's maps: `(B, C, H, W)` images, any H and W.

    Args:
        backbone: makes the net; called with `features_only`, `in_chans` and `out_indices`.
        in_chans: image channels.
        out_indices: which maps, from the finest on; None: all. Deeper stages are not built.

    Attributes:
        channels: of each map, the finest first.
        reductions: by how much each is smaller than the image.
    """

    def __init__(
        self,
        backbone: Callable[..., nn.Module],
        in_chans: int,
        out_indices: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone(features_only=True, in_chans=in_chans, out_indices=out_indices)
        # nn.Module types attributes as Tensor or Module; timm's FeatureInfo is neither.
        info = self.backbone.feature_info
        self.channels: list[int] = info.channels()  # type: ignore[operator, union-attr]
        self.reductions: list[int] = info.reduction()  # type: ignore[operator, union-attr]
        self._channels_last = getattr(self.backbone, "output_fmt", "NCHW") == "NHWC"

    def maps(self, images: Tensor) -> list[Tensor]:
        """The backbone's maps `(B, channels[i], H / reductions[i], W / reductions[i])`."""
        maps: list[Tensor] = self.backbone(images)
        return [x.permute(0, 3, 1, 2) for x in maps] if self._channels_last else maps

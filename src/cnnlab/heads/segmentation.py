"""What all heads that give a class for each pixel share: the backbone's maps, the input's size."""

from collections.abc import Callable
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from cnnlab.errors import UserError
from cnnlab.heads.features import FeatureHead


class SegmentationHead(FeatureHead):
    """Base: `(B, C, H, W)` images -> `(B, num_classes, H, W)` logits, any H and W.

    A head implements `decode` and `get_classifier`. Maps are joined by resizing to the finer one,
    never by a factor: strides need not double (AlexNet's maps of 224 pixels have 54, 26 and 12).

    Args:
        backbone: makes the net, see `FeatureHead`.
        num_classes: K.
        in_chans: image channels.
        depth: so many maps, from the finest on, are used; deeper stages are not built. None: all.

    Raises:
        UserError: the net has fewer maps than `depth`.
    """

    tasks: ClassVar[tuple[str, ...]] = ("segmentation",)

    def __init__(
        self,
        backbone: Callable[..., nn.Module],
        num_classes: int,
        in_chans: int,
        depth: int | None = None,
    ) -> None:
        indices = None if depth is None else tuple(range(depth))
        try:
            super().__init__(backbone, in_chans, indices)
        except (IndexError, UserError) as error:
            if not isinstance(error.__cause__ or error, IndexError):
                raise
            raise UserError(f"head.depth={depth}: the net has fewer maps") from error

    def decode(self, maps: list[Tensor]) -> Tensor:
        """Logits `(B, K, h, w)` of any size, from the maps."""
        raise NotImplementedError(type(self).__name__)

    def get_classifier(self) -> tuple[nn.Module, ...]:
        """The layers of which each channel is a class, for what treats a net's last layer apart."""
        raise NotImplementedError(type(self).__name__)

    def forward(self, images: Tensor) -> Tensor:
        return resized(self.decode(self.maps(images)), images)


def resized(x: Tensor, like: Tensor) -> Tensor:
    """`x` `(B, C, h, w)` bilinearly in the height and width of `like`."""
    size = like.shape[-2:]
    return x if x.shape[-2:] == size else F.interpolate(x, size, mode="bilinear")

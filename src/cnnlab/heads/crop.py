"""Windows of maps that are larger than what they are joined with."""

from torch import Tensor


def cropped(x: Tensor, top: int, left: int, like: Tensor) -> Tensor:
    """The window of `x` `(B, C, h, w)` at (top, left) with the height and width of `like`."""
    height, width = like.shape[-2:]
    return x[..., top : top + height, left : left + width]

"""Which pixels count: the one way of ignoring that losses, metrics and data share."""

from torch import Tensor

IGNORE = 255
"""The value of a mask's pixels that count neither in a loss nor in a metric."""


def split(targets: Tensor) -> tuple[Tensor, Tensor]:
    """Class ids that are safe to index with, and which pixels count.

    Args:
        targets: int64 `(B, H, W)`, class ids and `IGNORE`.

    Returns:
        Labels int64 `(B, H, W)`, 0 where ignored, and bool `(B, H, W)`, False where ignored.
    """
    counts = targets != IGNORE
    return targets.where(counts, 0), counts

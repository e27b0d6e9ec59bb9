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


def mean_over_pixels(losses: Tensor, targets: Tensor, weight: Tensor | None) -> Tensor:
    """The mean over the pixels that count, of which a class may have a weight; 0 of none.

    Args:
        losses: `(B, H, W)`, times that weight already, 0 where ignored.
        targets: int64 `(B, H, W)`, 255 = ignore.
        weight: `(K,)`, or None.
    """
    labels, counts = split(targets)
    shares = counts.float() if weight is None else weight[labels].where(counts, 0.0)
    total = shares.sum()
    return losses.sum() / total.where(total > 0, 1.0)

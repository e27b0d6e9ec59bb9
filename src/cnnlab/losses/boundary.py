"""Boundary loss: how well the outlines agree."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from cnnlab.losses.regions import RegionLoss, mean_over_classes, soft_and_true


class Boundary(RegionLoss):
    """`1 - F1` of the classes' outlines, soft, the mean over the classes.

    Bokhovkin and Burnaev 2019 (arXiv:1905.07852, eq. 5 to 9). The outline of a class are its pixels
    beside one that is not: `b = maxpool_3(1 - x) - (1 - x)`. Precision is the share of the
    predicted outline within `tolerance` pixels of the true one, recall the other way round. Pools
    only, so nothing leaves the device; distance maps (Kervadec et al. 2019) would.

    Beside an ignored pixel, and at the border of the image, there is no outline.

    Args:
        tolerance: in pixels.
        common: as of `RegionLoss`; a class without an outline in the target is absent.
    """

    def __init__(
        self, class_counts: Sequence[int] | None = None, *, tolerance: int, **common: Any
    ) -> None:
        super().__init__(class_counts, **common)
        self.tolerance = tolerance

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        probabilities, truth, counts = soft_and_true(logits, targets)
        predicted, true = _outline(probabilities, counts), _outline(truth.float(), counts)
        pixels = (2, 3) if self.per_image else (0, 2, 3)
        size = 2 * self.tolerance + 1
        near_true, near_predicted = (
            F.max_pool2d(each, size, 1, self.tolerance) for each in (true, predicted)
        )
        precision = self._share((predicted * near_true).sum(pixels), predicted.sum(pixels))
        recall = self._share((true * near_predicted).sum(pixels), true.sum(pixels))
        f1 = (2 * precision * recall + self.eps) / (precision + recall + self.eps)
        return mean_over_classes(1 - f1, true.sum(pixels), self.absent)

    def _share(self, part: Tensor, whole: Tensor) -> Tensor:
        """1 where there is nothing to share."""
        return (part + self.eps) / (whole + self.eps)


def _outline(x: Tensor, counts: Tensor) -> Tensor:
    """`(B, K, H, W)`, of probabilities or of 0 and 1."""
    outside = (1 - x).where(counts, 0.0)
    return (F.max_pool2d(outside, 3, 1, 1) - (1 - x)).where(counts, 0.0)

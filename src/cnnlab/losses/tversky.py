"""Tversky loss: Dice with unequal prices of its two errors."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from cnnlab.losses.regions import RegionLoss, Regions


class Tversky(RegionLoss):
    """`1 - (TP + eps) / (TP + alpha FP + beta FN + eps)`, soft, the mean over the classes.

    Salehi et al. 2017 (arXiv:1706.05721, eq. 3): alpha is the price of false positives, beta of
    false negatives. Halves give Dice, ones Jaccard. Other arguments as of `RegionLoss`.
    """

    def __init__(
        self,
        class_counts: Sequence[int] | None = None,
        *,
        alpha: float,
        beta: float,
        **common: Any,
    ) -> None:
        super().__init__(class_counts, **common)
        self.alpha, self.beta = alpha, beta

    def index(self, found: Regions) -> Tensor:
        false = self.alpha * (found.predicted - found.both)
        missed = self.beta * (found.true - found.both)
        return (found.both + self.eps) / (found.both + false + missed + self.eps)

"""Tversky loss: Dice with unequal prices of its two errors."""

from collections.abc import Sequence

from torch import Tensor, nn

from cnnlab.losses.regions import Absent, mean_over_classes, regions


class Tversky(nn.Module):
    """`1 - (TP + eps) / (TP + alpha FP + beta FN + eps)`, soft, the mean over the classes.

    Salehi et al. 2017 (arXiv:1706.05721, eq. 3): alpha is the price of false positives, beta of
    false negatives. Halves give Dice, ones Jaccard.

    logits `(B, K, H, W)`, or `(B, 1, H, W)` for two classes; targets int64 `(B, H, W)`, 255 =
    ignore; returns a scalar in [0, 1]. Other arguments as of `Dice`.
    """

    tasks = ("segmentation",)

    def __init__(
        self,
        class_counts: Sequence[int] | None = None,
        *,
        alpha: float,
        beta: float,
        eps: float,
        absent: Absent,
        per_image: bool,
    ) -> None:
        super().__init__()
        self.alpha, self.beta = alpha, beta
        self.eps, self.absent, self.per_image = eps, absent, per_image

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        found = regions(logits, targets, self.per_image)
        false = self.alpha * (found.predicted - found.both)
        missed = self.beta * (found.true - found.both)
        index = (found.both + self.eps) / (found.both + false + missed + self.eps)
        return mean_over_classes(1 - index, found.true, self.absent)

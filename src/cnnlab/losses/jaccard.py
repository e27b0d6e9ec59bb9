"""Soft Jaccard loss: intersection over union."""

from collections.abc import Sequence

from torch import Tensor, nn

from cnnlab.losses.regions import Absent, mean_over_classes, regions


class Jaccard(nn.Module):
    """`1 - (sum p_c t_c + eps) / (sum p_c + sum t_c - sum p_c t_c + eps)`, the mean over classes.

    Rahman and Wang 2016, section 3. Of hard predictions it is 1 - IoU.

    logits `(B, K, H, W)`, or `(B, 1, H, W)` for two classes; targets int64 `(B, H, W)`, 255 =
    ignore; returns a scalar in [0, 1]. Arguments as of `Dice`.
    """

    tasks = ("segmentation",)

    def __init__(
        self,
        class_counts: Sequence[int] | None = None,
        *,
        eps: float,
        absent: Absent,
        per_image: bool,
    ) -> None:
        super().__init__()
        self.eps, self.absent, self.per_image = eps, absent, per_image

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        found = regions(logits, targets, self.per_image)
        union = found.predicted + found.true - found.both
        return mean_over_classes(
            1 - (found.both + self.eps) / (union + self.eps), found.true, self.absent
        )

"""Dice loss."""

from collections.abc import Sequence

from torch import Tensor, nn

from cnnlab.losses.regions import Absent, mean_over_classes, regions


class Dice(nn.Module):
    """`1 - (2 sum p_c t_c + eps) / (sum p_c + sum t_c + eps)`, the mean over the classes.

    Milletari et al. 2016 (arXiv:1606.04797) without squares. Deck 2 writes eps below the line only
    (`complexity.formulas.losses.dice_loss`): there an empty class, rightly predicted, costs 1.

    logits `(B, K, H, W)`, or `(B, 1, H, W)` for two classes; targets int64 `(B, H, W)`, 255 =
    ignore; returns a scalar in [0, 1].

    Args:
        class_counts: not used.
        eps: in pixels; keeps an empty class finite.
        absent: whether a class without a pixel in the target is left out of the mean (`skip`), or
            costs where it is predicted (`count`).
        per_image: a mean over images of their own Dice, or one Dice of the whole batch.
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
        dice = (2 * found.both + self.eps) / (found.predicted + found.true + self.eps)
        return mean_over_classes(1 - dice, found.true, self.absent)

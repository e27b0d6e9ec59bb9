"""Generalised Dice loss: one Dice of all classes, each weighted by its size."""

from torch import Tensor

from cnnlab.losses.regions import RegionLoss, mean_over_images, regions


class GeneralisedDice(RegionLoss):
    """`1 - (2 sum_c w_c sum p_c t_c + eps) / (sum_c w_c (sum p_c + sum t_c) + eps)`.

    `w_c = 1 / (sum t_c)^2` (Sudre et al. 2017, arXiv:1707.03237), scaled so that the largest is 1.
    A class without a pixel in the target has no such weight: it has none (`absent=skip`), or that
    of a class with one pixel (`absent=count`).
    """

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        found = regions(logits, targets, self.per_image)
        sizes = found.true.clamp(min=1)
        if self.absent == "skip":
            sizes = sizes.where(found.true > 0, float("inf"))
        weights = (sizes.min(-1, keepdim=True).values / sizes) ** 2
        weights = weights.nan_to_num(0.0)  # inf / inf, where all is ignored
        both = (weights * found.both).sum(-1)
        total = (weights * (found.predicted + found.true)).sum(-1)
        values = 1 - (2 * both + self.eps) / (total + self.eps)
        return mean_over_images(values, found.true)

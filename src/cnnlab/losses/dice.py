"""Dice loss."""

from torch import Tensor

from cnnlab.losses.regions import RegionLoss, Regions


class Dice(RegionLoss):
    """`1 - (2 sum p_c t_c + eps) / (sum p_c + sum t_c + eps)`, the mean over the classes.

    Milletari et al. 2016 (arXiv:1606.04797) without squares. Deck 2 writes eps below the line only
    (`complexity.formulas.losses.dice_loss`): there an empty class, rightly predicted, costs 1.
    """

    def index(self, found: Regions) -> Tensor:
        return (2 * found.both + self.eps) / (found.predicted + found.true + self.eps)

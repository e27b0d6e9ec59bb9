"""Soft Jaccard loss: intersection over union."""

from torch import Tensor

from cnnlab.losses.regions import RegionLoss, Regions


class Jaccard(RegionLoss):
    """`1 - (sum p_c t_c + eps) / (sum p_c + sum t_c - sum p_c t_c + eps)`, the mean over classes.

    Rahman and Wang 2016, section 3. Of hard predictions it is 1 - IoU.
    """

    def index(self, found: Regions) -> Tensor:
        union = found.predicted + found.true - found.both
        return (found.both + self.eps) / (union + self.eps)

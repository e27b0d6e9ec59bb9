"""A mean of batch means, weighted."""

import torch
from torch import Tensor
from torchmetrics import Metric


class WeightedMean(Metric):
    """`sum_b w_b x_b / sum_b w_b` over batches b and processes; NaN stays NaN.

    torchmetrics' MeanMetric looks for NaN on the host at every update, and drops the weights where
    that look is switched off (`nan_strategy="disable"`, 1.9.0).
    """

    full_state_update = False
    total: Tensor
    weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("total", "weight"):
            self.add_state(name, torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, value: Tensor, weight: Tensor | float) -> None:
        """Add the mean `value` `()` of a batch, which weighs `weight`."""
        self.total += value.float() * weight
        self.weight += weight

    def compute(self) -> Tensor:
        """The mean, `()`; NaN without any weight."""
        return self.total / self.weight

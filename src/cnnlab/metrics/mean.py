"""A mean of batch means, weighted."""

import torch
from torch import Tensor
from torchmetrics import Metric


class WeightedMean(Metric):
    """`sum_b w_b x_b / sum_b w_b` over batches b and processes; NaN stays NaN.

    With a `least` of 1, as of sums that are divided by a number of objects, or by 1 where there is
    none: `sum_b max(w_b, 1) x_b / max(sum_b w_b, 1)`, what one batch of all would have.

    torchmetrics' MeanMetric looks for NaN on the host at every update, and drops the weights where
    that look is switched off (`nan_strategy="disable"`, 1.9.0).
    """

    full_state_update = False
    total: Tensor
    weight: Tensor

    def __init__(self, least: float = 0.0) -> None:
        super().__init__()
        self.least = least
        for name in ("total", "weight"):
            self.add_state(name, torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, value: Tensor, weight: Tensor | float) -> None:
        """Add the mean `value` `()` of a batch, which weighs `weight`."""
        if isinstance(weight, Tensor):
            divisor: Tensor | float = weight.clamp(min=self.least)
        else:
            divisor = max(weight, self.least)
        self.total += value.float() * divisor
        self.weight += weight

    def compute(self) -> Tensor:
        """The mean, `()`; NaN without any weight where `least` is 0."""
        return self.total / self.weight.clamp(min=self.least)

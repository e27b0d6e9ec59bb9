"""How well any number of classes an image is predicted."""

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.classification import multilabel_average_precision
from torchmetrics.utilities import dim_zero_cat


class MultiLabelMetric(Metric):
    """Average precision, F1 and exact match, exact over batches and processes.

    Average precision depends on the order of all scores, so all are kept on the device:
    5 bytes an image and class.
    """

    full_state_update = False
    logits: list[Tensor]
    targets: list[Tensor]

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.add_state("logits", [], dist_reduce_fx="cat")
        self.add_state("targets", [], dist_reduce_fx="cat")

    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Add a batch: logits `(B, K)`, targets `(B, K)` of 0 and 1."""
        self.logits.append(logits.detach().float())
        self.targets.append(targets > 0.5)

    def compute(self) -> dict[str, Tensor]:
        """The results so far. torchmetrics' own averages count an absent class as 0; these do not.

        - average_precision: mean over the classes that have positives.
        - per_class `(K,)`: average precision; NaN for a class without positives.
        - f1: of all decisions (probability above 0.5) together.
        - f1_macro: mean of F1 over the classes that occur or are predicted.
        - exact_match: share of images with every class right.
        """
        logits, targets = dim_zero_cat(self.logits), dim_zero_cat(self.targets)
        present = targets.any(0)
        per_class = logits.new_full((self.num_classes,), torch.nan)
        per_class[present] = multilabel_average_precision(
            # In (0, 1) and in the same order, as torchmetrics wants it; a sigmoid in float32 gives
            # large logits the same value.
            (logits / (1 + logits.abs()) / 2 + 0.5)[:, present],
            targets[:, present].long(),
            int(present.sum()),
            average=None,
            validate_args=False,
        )
        predicted = logits > 0
        right = (predicted & targets).sum(0)
        either = predicted.sum(0) + targets.sum(0)
        return {
            "average_precision": per_class.nanmean(),
            "per_class": per_class,
            "f1": 2 * right.sum() / either.sum(),
            "f1_macro": (2 * right / either).nanmean(),
            "exact_match": (predicted == targets).all(1).float().mean(),
        }

"""How well one class an image is predicted, and how far the confidence can be believed."""

import torch
from torch import Tensor
from torchmetrics import Metric

BINS = 15
_UNIT = 2**24  # float32 confidences in whole units: sums do not depend on their order


class ClassificationMetric(Metric):
    """Accuracies, calibration and confusion, exact over batches and processes.

    Only whole numbers are summed, on the device, so an update waits for nothing, and one process
    and several give the same result to the bit.
    """

    full_state_update = False
    confusion: Tensor
    top5_hits: Tensor
    bin_counts: Tensor
    bin_hits: Tensor
    bin_confidence: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        shapes = {"confusion": (num_classes, num_classes), "top5_hits": ()}
        shapes |= {name: (BINS,) for name in ("bin_counts", "bin_hits", "bin_confidence")}
        for name, shape in shapes.items():
            self.add_state(name, torch.zeros(shape, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Add a batch: logits `(B, K)`, class ids int64 `(B,)`."""
        logits = logits.float()
        top = logits.topk(min(5, self.num_classes))
        predicted = top.indices[:, 0]
        ones = torch.ones_like(targets)
        # index_add_ and not bincount, which on CUDA waits to learn the largest value.
        self.confusion.view(-1).index_add_(0, targets * self.num_classes + predicted, ones)
        self.top5_hits += (top.indices == targets[:, None]).sum()
        confidence = (top.values[:, 0] - logits.logsumexp(1)).exp()
        bins = (confidence * BINS).ceil().long().clamp(1, BINS) - 1
        self.bin_counts.index_add_(0, bins, ones)
        self.bin_hits.index_add_(0, bins, (predicted == targets).long())
        self.bin_confidence.index_add_(0, bins, (confidence * _UNIT).round().long())

    def compute(self) -> dict[str, Tensor]:
        """The results so far; NaN where there was no image.

        - top1, top5: shares of images whose class is the first, among the first 5 (or K).
        - macro: mean over the classes that have images, of each class's share of hits.
        - per_class `(K,)`: those shares; NaN for a class without images.
        - ece: expected calibration error over 15 equal bins of confidence, each (low, high]
          (Guo et al. 2017, eq. 3): 0 if of all predictions at confidence c a share c is right.
        - confusion `(K, K)`: images by true class (rows) and predicted class (columns).
        """
        hits, images = self.confusion.diagonal(), self.confusion.sum(1)
        per_class = hits / images
        total = images.sum()
        gaps = (self.bin_hits - self.bin_confidence.double() / _UNIT).abs()
        return {
            "top1": hits.sum() / total,
            "top5": self.top5_hits / total,
            "macro": per_class.nanmean(),
            "per_class": per_class,
            "ece": (gaps.sum() / total).float(),
            "confusion": self.confusion.clone(),
        }

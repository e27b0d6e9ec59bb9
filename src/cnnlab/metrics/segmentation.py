"""How well masks are predicted: all figures from one confusion matrix, outlines beside it."""

import torch
from torch import Tensor
from torchmetrics import Metric

from cnnlab.pixels import split

_BITS = 62  # classes that one int64 holds as bits, without its sign


class SegmentationMetric(Metric):
    """Overlap of regions and of outlines, exact over batches and processes.

    Only whole numbers are summed, on the device, so an update waits for nothing, and one process
    and several give the same result to the bit. Ignored pixels count nowhere. A class without a
    pixel in the truth of the whole split has no figure (NaN, null in the record), and is in no
    mean; its false positives count against the classes they were taken from.

    Args:
        num_classes: K.
        tolerance: pixels (the larger of rows and columns) by which an outline may be off.
    """

    full_state_update = False
    confusion: Tensor
    outlines: Tensor

    def __init__(self, num_classes: int, tolerance: int) -> None:
        super().__init__()
        self.num_classes, self.tolerance = num_classes, tolerance
        shapes = {"confusion": (num_classes, num_classes), "outlines": (4, num_classes)}
        for name, shape in shapes.items():
            self.add_state(name, torch.zeros(shape, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, predictions: Tensor, targets: Tensor) -> None:
        """Add a batch: class ids int64 `(B, H, W)` each; 255 in `targets` = ignore."""
        labels, counts = split(targets)
        cells = labels * self.num_classes + predictions
        # index_add_ and not bincount, which on CUDA waits to learn the largest value.
        self.confusion.view(-1).index_add_(0, cells.flatten(), counts.flatten().long())
        found, true = _outline(predictions, counts), _outline(labels, counts)
        near_true = self._near(labels, true, predictions)
        near_found = self._near(predictions, found, labels)
        for row, (of_class, chosen) in enumerate(
            (
                (predictions, found & near_true),
                (predictions, found),
                (labels, true & near_found),
                (labels, true),
            )
        ):
            self.outlines[row].index_add_(0, of_class.flatten(), chosen.flatten().long())

    def _near(self, labels: Tensor, outline: Tensor, asked: Tensor) -> Tensor:
        """Whether an outline of the class `asked` of each pixel lies within the tolerance.

        All classes at once: a pixel's bits say which have an outline near.
        """
        near = torch.zeros_like(outline)
        for first in range(0, self.num_classes, _BITS):
            bit = labels - first
            held = outline & (bit >= 0) & (bit < _BITS)
            bits = torch.where(held, 1 << bit.clamp(0, _BITS - 1), 0)
            for dim in (1, 2):
                bits = _spread(bits, dim, self.tolerance)
            wanted = asked - first
            is_here = (wanted >= 0) & (wanted < _BITS)
            near |= is_here & ((bits >> wanted.clamp(0, _BITS - 1)) & 1).bool()
        return near

    def compute(self) -> dict[str, Tensor]:
        """The results so far; NaN where no pixel counted.

        With TP, FP, FN pixels of a class:

        - miou: mean over the classes present of `TP / (TP + FP + FN)`; iou_per_class `(K,)`.
        - dice: likewise of `2 TP / (2 TP + FP + FN)`; dice_per_class `(K,)`.
        - micro_iou: that IoU of the sums over classes.
        - pixel_accuracy: share of pixels that are right.
        - boundary_f1: mean over the classes that have an outline of
          `2 precision recall / (precision + recall)`: the shares of the found outline near a true
          one, and of the true one near a found one (Csurka et al. 2013, BMVC; here summed over the
          split); boundary_f1_per_class `(K,)`.
        - confusion `(K, K)`: pixels by true class (rows) and predicted class (columns).
        """
        hits = self.confusion.diagonal()
        true, found = self.confusion.sum(1), self.confusion.sum(0)
        absent = true == 0
        iou = (hits / (true + found - hits)).masked_fill(absent, torch.nan)
        dice = (2 * hits / (true + found)).masked_fill(absent, torch.nan)
        total = true.sum()
        near_true, outline_found, near_found, outline_true = self.outlines
        precision = near_true / outline_found.clamp(min=1)
        recall = near_found / outline_true.clamp(min=1)
        both = precision + recall
        f1 = 2 * precision * recall / both.where(both > 0, 1.0)
        f1 = f1.masked_fill(outline_true == 0, torch.nan)
        return {
            "miou": iou.nanmean(),
            "micro_iou": hits.sum() / (2 * total - hits.sum()),
            "dice": dice.nanmean(),
            "pixel_accuracy": hits.sum() / total,
            "boundary_f1": f1.nanmean(),
            "iou_per_class": iou,
            "dice_per_class": dice,
            "boundary_f1_per_class": f1,
            "confusion": self.confusion.clone(),
        }


def _outline(labels: Tensor, counts: Tensor) -> Tensor:
    """Bool `(B, H, W)`: beside (of 8 neighbours) a pixel of another class; both must count."""
    height, width = labels.shape[-2:]
    outline = torch.zeros_like(counts)
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        here = (..., slice(0, height - dy), slice(max(0, -dx), width - max(0, dx)))
        there = (..., slice(dy, height), slice(max(0, dx), width - max(0, -dx)))
        differ = (labels[here] != labels[there]) & counts[here] & counts[there]
        outline[here] |= differ
        outline[there] |= differ
    return outline


def _spread(bits: Tensor, dim: int, reach: int) -> Tensor:
    """The union of what lies within `reach` along `dim`."""
    out = bits.clone()
    length = bits.shape[dim]
    for shift in range(1, min(reach, length - 1) + 1):
        out.narrow(dim, 0, length - shift).bitwise_or_(bits.narrow(dim, shift, length - shift))
        out.narrow(dim, shift, length - shift).bitwise_or_(bits.narrow(dim, 0, length - shift))
    return out

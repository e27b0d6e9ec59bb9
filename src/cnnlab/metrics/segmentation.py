"""How well masks are predicted: all figures from one confusion matrix, outlines beside it."""

import torch
from torch import Tensor
from torchmetrics import Metric

from cnnlab.pixels import IGNORE

_BITS = 32  # classes that one int32 holds as bits
_PIXELS_AT_ONCE = 2**18  # on a CPU


class SegmentationMetric(Metric):
    """Overlap of regions and of outlines, exact over batches and processes.

    Only whole numbers are summed, on the device, so an update waits for nothing, and one process
    and several give the same result to the bit. Ignored pixels count nowhere. A class without a
    pixel in the truth of the whole split has no figure (NaN, null in the record), and is in no
    mean; its false positives count against the classes they were taken from.

    Args:
        num_classes: K, at most 255.
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
        # A byte a pixel, and on a CPU few at once: what lies between stays in its caches.
        true = targets.to(torch.uint8)
        found = predictions.to(torch.uint8).where(targets != IGNORE, IGNORE)
        most = _PIXELS_AT_ONCE if targets.device.type == "cpu" else targets.numel()
        at_once = max(1, most // max(1, targets[:1].numel()))  # images
        parts = zip(found.split(at_once), true.split(at_once), strict=True)
        cells = [self._cells(*part).flatten() for part in parts]
        classes = self.num_classes
        counts = _histogram(torch.cat(cells), 9 * classes**2 + 1)[:-1].view(classes, classes, 3, 3)
        self.confusion += counts.sum((2, 3))
        by_found, by_true = counts.sum((0, 2)), counts.sum((1, 3))
        near_true, near_found = by_found[:, 2], by_true[:, 2]
        self.outlines += torch.stack(
            [near_true, near_true + by_found[:, 1], near_found, near_found + by_true[:, 1]]
        )

    def _cells(self, found: Tensor, true: Tensor) -> Tensor:
        """What each pixel adds to: int32 `(B, H, W)`, indices of `(K, K, 3, 3)`; 9 K^2: nothing.

        By true class, found class, and by what it is in the outlines of each of the two: 0 no part,
        1 far from the other's outline of its class, 2 near it.

        Args:
            found: class ids uint8 `(B, H, W)`, ignored where `true` is.
            true: likewise.
        """
        of_found, of_true = _outline(found), _outline(true)
        roles_found = of_found + (self._near(true, of_true, found) & of_found)
        roles_true = of_true + (self._near(found, of_found, true) & of_true)
        pairs = true.int().mul_(self.num_classes).add_(found)
        cells = pairs.mul_(3).add_(roles_true).mul_(3).add_(roles_found)
        return cells.masked_fill_(true == IGNORE, 9 * self.num_classes**2)

    def _near(self, labels: Tensor, outline: Tensor, asked: Tensor) -> Tensor:
        """Whether an outline of the class `asked` of each pixel lies within the tolerance: 0 or 1.

        All classes at once: a pixel's bits say which have an outline near. uint8 `(B, H, W)` all.
        """
        near = torch.zeros_like(outline)
        for first in range(0, self.num_classes, _BITS):
            place, inside = _bit(labels, first)
            bits = torch.bitwise_left_shift(1, place).mul_(inside & outline)
            for dim in (1, 2):
                bits = _spread(bits, dim, self.tolerance)
            place, inside = _bit(asked, first)
            near |= bits.bitwise_right_shift_(place).to(torch.uint8) & inside
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


def _histogram(values: Tensor, length: int) -> Tensor:
    """How often each of 0 .. length - 1 is in `values` int32 `(N,)`: int64 `(length,)`."""
    # Not bincount, which on CUDA waits to learn the largest value.
    counts = torch.zeros(length, dtype=torch.int64, device=values.device)
    return counts.index_add_(0, values, counts.new_ones(()).expand_as(values))


def _outline(labels: Tensor) -> Tensor:
    """1 beside (of 8 neighbours) a pixel of another class, both of which must count; else 0.

    uint8 `(B, H, W)`, as `labels`. In bits: comparisons are slow.
    """
    height, width = labels.shape[-2:]
    counts = (labels != IGNORE).to(torch.uint8) * 255
    differs = torch.zeros_like(labels)
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        here = (..., slice(0, height - dy), slice(max(0, -dx), width - max(0, dx)))
        there = (..., slice(dy, height), slice(max(0, dx), width - max(0, -dx)))
        differ = (labels[here] ^ labels[there]) & counts[here] & counts[there]
        differs[here] |= differ
        differs[there] |= differ
    return (differs != 0).to(torch.uint8)


def _bit(labels: Tensor, first: int) -> tuple[Tensor, Tensor]:
    """The place int32 of each label among the `_BITS` from `first` on; 1 (uint8) if it is there."""
    place = labels - first  # uint8 wraps: what is below lies far above
    return (place & (_BITS - 1)).int(), (place < _BITS).to(torch.uint8)


def _spread(bits: Tensor, dim: int, reach: int) -> Tensor:
    """The union of what lies within `reach` along `dim`."""
    length = bits.shape[dim]
    reach = min(reach, length - 1)
    out = bits.clone()
    # Looking ahead, then back: each look doubles what has been seen.
    for ahead in (True, False):
        seen, last = 0, out
        while seen < reach:
            step = min(seen + 1, reach - seen)
            here, there = last.narrow(dim, 0, length - step), last.narrow(dim, step, length - step)
            out = last.clone()
            (
                out.narrow(dim, 0, length - step) if ahead else out.narrow(dim, step, length - step)
            ).bitwise_or_(there if ahead else here)
            last, seen = out, seen + step
    return out

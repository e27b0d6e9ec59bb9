"""A class for each pixel."""

from typing import Any, ClassVar

from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric

from cnnlab.data.batch import Batch
from cnnlab.metrics.segmentation import SegmentationMetric
from cnnlab.pixels import split
from cnnlab.tasks.base import Stage, Task
from cnnlab.tasks.dense_inference import averaged, windowed


class SegmentationTask(Task):
    """Logits `(B, K, H, W)` against masks `(B, H, W)` of class ids, 255 = ignore.

    Evaluation counts pixels of the original images: logits are resized to them first. `val/loss`
    weights a batch by its pixels that count, which makes a mean over pixels that of the split;
    losses of regions (Dice ...) are those of batches.

    Args:
        parts: net, loss, optimizer, scheduler, classes and seed, as of `Task`.
        window: height and width of the windows in which evaluation looks at an image; None: all at
            once.
        overlap: share of a window that the next one sees again.
        flip: whether the test averages over the mirrored image, too.
        scales: factors of the image's size over which the test averages.
        boundary_tolerance: pixels by which an outline may be off and still be right.
        common: as of `Task`.
    """

    tasks = ("segmentation",)
    logs: ClassVar[tuple[str, ...]] = (
        "val/loss",
        "val/loss_*",
        "val/miou",
        "val/micro_iou",
        "val/dice",
        "val/pixel_accuracy",
        "val/boundary_f1",
    )
    per_class: ClassVar[str | None] = "iou_per_class"

    def __init__(
        self,
        *parts: Any,
        window: tuple[int, int] | None,
        overlap: float,
        flip: bool,
        scales: list[float],
        boundary_tolerance: int,
        **common: Any,
    ) -> None:
        self.boundary_tolerance = boundary_tolerance
        super().__init__(*parts, **common)
        self.window = None if window is None else (window[0], window[1])
        self.overlap, self.flip, self.scales = overlap, flip, scales

    def losses(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        losses = self.loss(outputs, batch.targets)
        return losses if isinstance(losses, dict) else {"loss": losses}

    def infer(self, batch: Batch, stage: Stage) -> Tensor:
        """Logits `(B, K, H, W)` at the size of the masks, that of the original images."""
        if stage == "test" and (self.flip or self.scales != [1.0]):
            logits = averaged(self._look, batch.images, self.flip, self.scales)
        else:
            logits = self._look(batch.images)
        return at_original_size(logits, batch)

    def _look(self, images: Tensor) -> Tensor:
        if self.window is None:
            logits: Tensor = self.net(images)
            return logits
        return windowed(self.net, images, self.window, self.overlap)

    def predict(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Class ids int64 `(B, H, W)`, in original pixels."""
        return outputs.argmax(1)

    def batch_weight(self, batch: Batch) -> Tensor | int:
        """Pixels that count; with class weights their sum, by which those losses divide."""
        labels, counts = split(batch.targets)
        of_class = getattr(self.loss, "mean_weight", None)
        return counts.sum() if of_class is None else of_class[labels].where(counts, 0.0).sum()

    def new_metric(self) -> Metric:
        return SegmentationMetric(len(self.classes), self.boundary_tolerance)


def at_original_size(logits: Tensor, batch: Batch) -> Tensor:
    """Each image's logits, without its padding, resized to its mask; `(B, K, H', W')`.

    Reads the frames on the host.
    """
    size = batch.targets.shape[-2:]
    frames = [
        (round(h), round(w), round(h * y), round(w * x)) for h, w, y, x in batch.frames.tolist()
    ]
    if logits.shape[-2:] == size and all((h, w) == (H, W) for h, w, H, W in frames):
        return logits
    whole = logits.new_zeros(*logits.shape[:2], *size)
    for i, (h, w, height, width) in enumerate(frames):
        valid = logits[i : i + 1, :, :h, :w]
        resized = F.interpolate(valid, (height, width), mode="bilinear")
        whole[i : i + 1, :, :height, :width] = resized
    return whole

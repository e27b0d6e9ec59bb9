"""A class for each pixel."""

import math
from typing import Any, ClassVar

from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric

from cnnlab.data.batch import Batch
from cnnlab.data.module import DataModule
from cnnlab.errors import UserError
from cnnlab.metrics.segmentation import SegmentationMetric
from cnnlab.pixels import split
from cnnlab.tasks.base import Stage, Task
from cnnlab.tasks.dense_inference import Net, averaged, windowed


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
        if not scales:
            raise UserError("task.scales=[]: needs one factor or more; [1.0] is the image as it is")
        self.boundary_tolerance = boundary_tolerance
        super().__init__(*parts, **common)
        self.window = None if window is None else (window[0], window[1])
        self.overlap, self.flip, self.scales = overlap, flip, scales

    def suits(self, data: DataModule) -> None:
        super().suits(data)
        net: Any = self.net
        config = net.backbone.pretrained_cfg
        # Images in memory have the size of `data.image_size`; those in files are seen whole.
        if config.get("fixed_input_size") and self.window is None and not data.crops_on_device:
            height, width = config["input_size"][1:]
            raise UserError(
                f"task.window=null: this net takes images of {height} x {width} alone, and "
                f"evaluation sees whole ones: task.window=[{height},{width}]"
            )

    def losses(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        losses = self.loss(outputs, batch.targets)
        return losses if isinstance(losses, dict) else {"loss": losses}

    def infer(self, batch: Batch, stage: Stage) -> Tensor:
        """Logits `(B, K, H, W)` at the size of the masks, that of the original images."""
        if stage == "test" and (self.flip or self.scales != [1.0]):
            return at_original_size(
                lambda images: averaged(self._look, images, self.flip, self.scales), batch
            )
        return at_original_size(self._look, batch)

    def _look(self, images: Tensor) -> Tensor:
        if self.window is None:
            logits: Tensor = self.net(images)
            return logits
        return windowed(self.net, images, self.window, self.overlap)

    def predict(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Class ids int64 `(B, H, W)`, in original pixels."""
        return outputs.argmax(1)

    def _finish(self, stage: Stage) -> dict[str, float]:
        scalars = super()._finish(stage)
        if math.isnan(scalars[f"{stage}/miou"]):
            raise UserError(f"{stage}: no class is left: every pixel is ignored; see data.values")
        return scalars

    def batch_weight(self, outputs: Any, batch: Batch) -> Tensor | int:
        """Pixels that count; with class weights their sum, by which those losses divide."""
        labels, counts = split(batch.targets)
        of_class = getattr(self.loss, "mean_weight", None)
        return counts.sum() if of_class is None else of_class[labels].where(counts, 0.0).sum()

    def new_metric(self) -> Metric:
        return SegmentationMetric(len(self.classes), self.boundary_tolerance)


def at_original_size(look: Net, batch: Batch) -> Tensor:
    """What `look` makes of each image, without its padding, resized to its mask.

    Images of one size are looked at together; no image changes what is seen in another. Reads the
    frames on the host.

    Args:
        look: images `(N, C, h, w)` to logits `(N, K, h, w)`.
        batch: prepared.

    Returns:
        `(B, K, H', W')`, 0 where a mask is padded.
    """
    of_size: dict[tuple[int, int, int, int], list[int]] = {}
    for i, (h, w, y, x) in enumerate(batch.frames.tolist()):
        size = (round(h), round(w), round(h * y), round(w * x))
        of_size.setdefault(size, []).append(i)
    whole: Tensor | None = None
    for (h, w, height, width), ids in of_size.items():
        images = batch.images if len(of_size) == 1 else batch.images[ids]
        logits = look(images[..., :h, :w])
        if (h, w) != (height, width):
            logits = F.interpolate(logits, (height, width), mode="bilinear")
        if len(of_size) == 1 and batch.targets.shape[-2:] == (height, width):
            return logits
        if whole is None:
            shape = (len(batch.ids), logits.shape[1], *batch.targets.shape[-2:])
            whole = logits.new_zeros(shape)
        whole[ids, :, :height, :width] = logits
    assert whole is not None
    return whole

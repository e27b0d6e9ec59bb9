"""Boxes around objects."""

from typing import Any, ClassVar

from torch import Tensor
from torchmetrics import Metric

from cnnlab.boxes.matching import Matches, Truth
from cnnlab.boxes.outputs import AnchorOutputs
from cnnlab.boxes.proposals import propose
from cnnlab.boxes.selection import Found, refine, select
from cnnlab.data.batch import Batch, Boxes
from cnnlab.data.module import DataModule
from cnnlab.errors import UserError
from cnnlab.metrics.detection import Annotations, DetectionMetric
from cnnlab.metrics.detection_errors import KINDS
from cnnlab.tasks.base import Stage, Task


class DetectionTask(Task):
    """`AnchorOutputs` against `Boxes`.

    Evaluation counts in pixels of the original images. `val/loss` is what one batch of the whole
    split would have: sums over its positives (`loss.normalizer=batch`), or the mean over its images
    (`image`). Losses of two stages are means over a sample that is drawn batch by batch; they are
    weighted by images, and depend a little on `data.eval_batch_size` and the number of processes.

    Its results name the errors by kind: `test/errors` `{kind: count}` and `test/errors_per_class`
    `{kind: counts (K,)}`, see `cnnlab.metrics.detection_errors`.

    Args:
        parts: net, loss, optimizer, scheduler, classes and seed, as of `Task`.
        score_threshold: what scores less is not predicted.
        candidates: scores a level and image that reach NMS at most.
        nms_iou: of two boxes of a class that overlap more, the surer stays.
        detections: boxes an image at most; COCO's figures count 100.
        common: as of `Task`.
    """

    tasks = ("detection",)
    logs: ClassVar[tuple[str, ...]] = (
        "val/loss",
        "val/loss_*",
        "val/map",
        "val/map50",
        "val/map75",
        "val/map_small",
        "val/map_medium",
        "val/map_large",
    )
    per_class: ClassVar[str | None] = "map_per_class"
    least_weight = 1.0

    def __init__(
        self,
        *parts: Any,
        score_threshold: float,
        candidates: int,
        nms_iou: float,
        detections: int,
        **common: Any,
    ) -> None:
        super().__init__(*parts, **common)
        self.score_threshold, self.candidates = score_threshold, candidates
        self.nms_iou, self.detections = nms_iou, detections

    def suits(self, data: DataModule) -> None:
        """As of `Task`.

        Raises:
            UserError: `task.monitor` is a figure of boxes, and val has none that counts.
        """
        super().suits(data)
        if self.monitor.startswith("val/map") and not any(data.counts("val")):
            raise UserError(
                f"task.monitor={self.monitor}: no image of val has a box (crowds and difficult "
                "ones do not count), so no epoch would be the best; give val boxes, or choose "
                "task.monitor=val/loss task.mode=min"
            )

    def losses(self, outputs: AnchorOutputs, batch: Batch) -> dict[str, Tensor]:
        losses: dict[str, Tensor] = self.loss(outputs, _truth(batch))
        return losses

    def batch_weight(self, outputs: AnchorOutputs, batch: Batch) -> Tensor | int:
        """Positives, where the loss divides by those of the batch; else images."""
        loss: Any = self.loss
        if getattr(loss, "normalizer", None) != "batch":
            return len(batch.ids)
        matches: Matches = loss.matcher(outputs.anchors, _truth(batch), len(batch.ids))
        return matches.positive.sum()

    def predict(self, outputs: AnchorOutputs, batch: Batch) -> list[Found]:
        """What is found in each image, in its original pixels."""
        limits: dict[str, Any] = {
            "threshold": self.score_threshold,
            "candidates": self.candidates,
            "nms_iou": self.nms_iou,
            "most": self.detections,
        }
        proposals = None if outputs.second is None else propose(outputs)
        found = []
        for i, (height, width, y, x) in enumerate(batch.frames.tolist()):
            if proposals is None:
                one = select(outputs, i, (height, width), **limits)
            else:
                one = refine(outputs, proposals, i, (height, width), **limits)
            found.append(one._replace(xyxy=one.xyxy * one.xyxy.new_tensor([x, y, x, y])))
        return found

    def new_metric(self) -> Metric:
        return DetectionMetric(len(self.classes))

    def truth(self, batch: Batch) -> Annotations:
        """The boxes in pixels of the original images."""
        boxes: Boxes = batch.targets
        return Annotations(batch.ids, *boxes.scaled(batch.frames[:, 2:]))

    def _finish(self, stage: Stage) -> dict[str, float]:
        scalars = super()._finish(stage)
        counts = self.results[f"{stage}/errors_per_class"]
        self.results[f"{stage}/errors"] = dict(zip(KINDS, map(sum, counts), strict=True))
        self.results[f"{stage}/errors_per_class"] = dict(zip(KINDS, counts, strict=True))
        return scalars


def _truth(batch: Batch) -> Truth:
    boxes: Boxes = batch.targets
    return Truth.of(boxes.xyxy, boxes.label, boxes.image, boxes.crowd)

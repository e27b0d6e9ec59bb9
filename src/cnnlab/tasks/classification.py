"""One class an image."""

from typing import ClassVar

from torch import Tensor
from torchmetrics import Metric

from cnnlab.data.batch import Batch
from cnnlab.metrics.classification import ClassificationMetric
from cnnlab.tasks.auxiliary import Outputs, classifier_losses
from cnnlab.tasks.base import Task


class ClassificationTask(Task):
    """Logits `(B, K)` against class ids `(B,)`, or `(B, K)` shares after mixup."""

    tasks = ("classification",)
    logs: ClassVar[tuple[str, ...]] = ("val/loss", "val/top1", "val/top5", "val/macro", "val/ece")

    def losses(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        return classifier_losses(self.loss, self.net, outputs, batch.targets)

    def predict(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Logits, `(B, K)` float32."""
        return outputs.float()

    def batch_weight(self, outputs: Outputs, batch: Batch) -> Tensor | int:
        """With class weights cross-entropy and focal loss divide by the sum of the weights."""
        of_class = getattr(self.loss, "mean_weight", None)
        return len(batch.ids) if of_class is None else of_class[batch.targets].sum()

    def new_metric(self) -> Metric:
        return ClassificationMetric(len(self.classes))

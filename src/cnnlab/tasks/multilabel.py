"""Any number of classes an image."""

from typing import ClassVar

from torch import Tensor
from torchmetrics import Metric

from cnnlab.data.batch import Batch
from cnnlab.metrics.multilabel import MultiLabelMetric
from cnnlab.tasks.auxiliary import Outputs, classifier_losses
from cnnlab.tasks.base import Task


class MultiLabelTask(Task):
    """Logits `(B, K)` against targets `(B, K)` of 0 and 1 (shares after mixup)."""

    tasks = ("multilabel",)
    logs: ClassVar[tuple[str, ...]] = (
        "val/loss",
        "val/average_precision",
        "val/f1",
        "val/f1_macro",
        "val/exact_match",
    )
    multi_label: ClassVar[bool] = True

    def losses(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        return classifier_losses(self.loss, self.net, outputs, batch.targets)

    def predict(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Logits, `(B, K)` float32."""
        return outputs.float()

    def new_metric(self) -> Metric:
        return MultiLabelMetric(len(self.classes))

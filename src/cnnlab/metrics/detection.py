"""How well boxes are found: COCO's figures, by its own protocol."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.detection import MeanAveragePrecision


class DetectionMetric(Metric):
    """Mean average precision over classes and IoU thresholds, counted once, at the end."""

    full_state_update = False

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.coco = MeanAveragePrecision(backend="faster_coco_eval", extended_summary=True)

    def update(self, found: Sequence[Any], truth: Any) -> None:
        """Add a batch: of each image xyxy, score, label; all boxes of the batch, flat."""
        predictions = [{"boxes": f.xyxy, "scores": f.score, "labels": f.label} for f in found]
        targets = []
        for i in range(len(found)):
            own = truth.take(truth.image == i)
            targets.append(
                {"boxes": own.xyxy, "labels": own.label, "iscrowd": own.crowd, "area": own.area}
            )
        self.coco.update(predictions, targets)

    def compute(self) -> dict[str, Tensor]:
        """map, map50, map75, map_small, map_medium, map_large; `map_per_class` `(K,)`."""
        values = self.coco.compute()
        names = {"map_50": "map50", "map_75": "map75"}
        keys = ("map", "map_50", "map_75", "map_small", "map_medium", "map_large")
        result = {names.get(k, k): values[k] for k in keys}
        return {k: v.where(v >= 0, torch.nan) for k, v in result.items()}

    def reset(self) -> None:
        super().reset()
        self.coco.reset()

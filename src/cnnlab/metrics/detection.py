"""How well boxes are found: COCO's figures, by its own protocol, and the errors by kind."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from cnnlab.errors import UserError
from cnnlab.metrics.box_tables import FoundTable, TrueTable
from cnnlab.metrics.coco import IOUS, precision
from cnnlab.metrics.detection_errors import count_errors


class Detections(Protocol):
    """D objects found in one image."""

    @property
    def xyxy(self) -> Tensor:
        """float32 `(D, 4)`, in pixels of the original image."""

    @property
    def score(self) -> Tensor:
        """float32 `(D,)`."""

    @property
    def label(self) -> Tensor:
        """int64 `(D,)`."""


class Annotations(NamedTuple):
    """N annotated boxes of a batch of B images."""

    ids: Tensor
    """int64 `(B,)`: the images' indices in the split."""
    xyxy: Tensor
    """float32 `(N, 4)`, in pixels of the original images."""
    label: Tensor
    """int64 `(N,)`: class ids."""
    image: Tensor
    """int64 `(N,)`: which image of the batch."""
    crowd: Tensor
    """bool `(N,)`: a region of many objects, which counts neither as found nor as missed."""
    area: Tensor
    """float32 `(N,)`: of the object as it was annotated, in pixels of the original image."""


class DetectionMetric(Metric):
    """Average precision, its curves and the errors, counted once, at the end.

    An update keeps tensors on the device and waits for nothing. Images are known by their index in
    the split and counted in that order, so one process and several, in whatever batches, give the
    same result to the bit.

    Why not torchmetrics' own metric, which counts by the same package: it keeps a tensor an image,
    which processes with unequal numbers of images cannot gather; it evaluates again for each class.

    Args:
        num_classes: K.
    """

    full_state_update = False
    found: list[Tensor]
    found_ids: list[Tensor]
    true: list[Tensor]
    true_ids: list[Tensor]

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        for name in ("found", "found_ids", "true", "true_ids"):
            self.add_state(name, [], dist_reduce_fx="cat")
        self.reset()

    def reset(self) -> None:
        super().reset()
        # Never empty lists: a process may get no batch, and gathering needs width and type.
        self.found.append(torch.zeros(0, 5, device=self.device))  # x1, y1, x2, y2, score
        self.found_ids.append(torch.zeros(0, 2, dtype=torch.int64, device=self.device))
        self.true.append(torch.zeros(0, 5, device=self.device))  # x1, y1, x2, y2, area
        self.true_ids.append(torch.zeros(0, 3, dtype=torch.int64, device=self.device))

    def update(self, found: Sequence[Detections], truth: Annotations) -> None:
        """Add a batch: what was found in each of its images, and all of its annotated boxes."""
        for one, id in zip(found, truth.ids, strict=True):
            self.found.append(torch.cat([one.xyxy, one.score[:, None]], 1).float())
            self.found_ids.append(torch.stack([one.label, id.expand(len(one.label))], 1))
        self.true.append(torch.cat([truth.xyxy, truth.area[:, None]], 1).float())
        image = truth.ids[truth.image]
        self.true_ids.append(torch.stack([truth.label, image, truth.crowd.long()], 1))

    def compute(self) -> dict[str, Tensor]:
        """The results so far, float64 on the host; NaN where there is no object to find.

        - map: mean over the classes that have an object, and over the IoUs 0.5, 0.55 .. 0.95 from
          which a detection is right, of the average precision: the mean over 101 recalls of the
          highest precision at that recall or above. map50, map75: at that IoU alone. map_small,
          map_medium, map_large: of objects of below 32^2, up to 96^2, and more pixels of area.
        - map_per_class, map50_per_class `(K,)`: of each class.
        - precision_recall `(K, 101)`: precision at IoU 0.5 at the recalls 0, 0.01 .. 1.
        - objects_per_class `(K,)`: annotated boxes that are no crowds.
        - errors_per_class `(5, K)`: see `count_errors`.

        Raises:
            UserError: a box or score is not finite.
        """
        found, true = self._found(), self._true()
        by_size = precision(found, true, self.num_classes)
        averages = by_size.all.mean(1)  # (IoU, class)
        values = {
            "map": _mean(by_size.all),
            "map50": _mean(by_size.all[_at(0.5)]),
            "map75": _mean(by_size.all[_at(0.75)]),
            "map_small": _mean(by_size.small),
            "map_medium": _mean(by_size.medium),
            "map_large": _mean(by_size.large),
            "map_per_class": averages.mean(0),
            "map50_per_class": averages[_at(0.5)],
            "precision_recall": by_size.all[_at(0.5)].T,
            "objects_per_class": np.bincount(true.label[~true.crowd], minlength=self.num_classes),
            "errors_per_class": count_errors(found, true, self.num_classes),
        }
        return {key: torch.as_tensor(np.asarray(value)) for key, value in values.items()}

    def _found(self) -> FoundTable:
        numbers, ids = _host(self.found), _host(self.found_ids)
        label, image = ids.T
        wild = ~np.isfinite(numbers).all(1)
        if wild.any():
            named = np.unique(image[wild])
            shown = ", ".join(map(str, named[:8])) + (", ..." if len(named) > 8 else "")
            raise UserError(
                f"{wild.sum()} of {len(wild)} predicted boxes or scores are not finite (images "
                f"{shown} of the split); the net has diverged: lower optimizer.lr, warm up longer, "
                "or clip: callbacks.gradient_clip"
            )
        order = np.argsort(image, kind="stable")
        numbers = numbers[order].astype(np.float64)
        return FoundTable(numbers[:, :4], numbers[:, 4], label[order], image[order])

    def _true(self) -> TrueTable:
        numbers, ids = _host(self.true), _host(self.true_ids)
        label, image, crowd = ids[np.argsort(ids[:, 1], kind="stable")].T
        numbers = numbers[np.argsort(ids[:, 1], kind="stable")].astype(np.float64)
        return TrueTable(numbers[:, :4], label, image, crowd.astype(bool), numbers[:, 4])


def _host(state: list[Tensor] | Tensor) -> np.ndarray:
    """All rows of a state, which gathering makes one tensor of."""
    rows: np.ndarray = dim_zero_cat(state).cpu().numpy()
    return rows


def _at(iou: float) -> int:
    return int(np.abs(IOUS - iou).argmin())


def _mean(precision: np.ndarray) -> float:
    """Over the classes that have an object."""
    present = ~np.isnan(precision)
    return float(precision[present].mean()) if present.any() else float("nan")

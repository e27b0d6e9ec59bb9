"""A detector's figures at the end of an evaluation: ours beside torchmetrics with pycocotools."""

import contextlib
import io
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchmetrics.detection import MeanAveragePrecision

from cnnlab.metrics.detection import Annotations, DetectionMetric

IMAGES, FOUND, CLASSES, OBJECTS, BATCH = 500, 100, 80, 7, 10


class Found(NamedTuple):
    """In one image."""

    xyxy: Tensor
    score: Tensor
    label: Tensor


def measure() -> list[dict[str, Any]]:
    batches = [batch(first) for first in range(0, IMAGES, BATCH)]
    ours = IMAGES / best(lambda: counted_by_us(batches))
    rows = []
    for backend, by_class in (("pycocotools", False), ("faster_coco_eval", True)):
        theirs = IMAGES / best(
            lambda words=(backend, by_class): counted_by_torchmetrics(batches, *words), rounds=1
        )
        rows.append(
            {
                "name": f"detection metric, {backend}{' by class' if by_class else ''}",
                "ours": ours,
                "reference": theirs,
                "unit": "images a second of processor time; ours by class, with errors; reference:"
                " torchmetrics",
                "ratio": ours / theirs,
                "target": "1 or more",
                "note": f"{IMAGES} images x {FOUND} detections x {CLASSES} classes",
            }
        )
    return rows


def batch(first: int) -> tuple[list[Found], Annotations]:
    """Detections beside the objects, a third of them of another class."""
    draw = torch.Generator().manual_seed(first)

    def rand(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=draw)

    corner, side = 500 * rand(BATCH, OBJECTS, 2), 120 * rand(BATCH, OBJECTS, 2) + 8
    true = torch.cat([corner, corner + side], -1)
    label = torch.randint(CLASSES, (BATCH, OBJECTS), generator=draw)
    found = []
    for boxes, labels in zip(true, label, strict=True):
        of = torch.randint(OBJECTS, (FOUND,), generator=draw)
        xyxy = boxes[of] + 40 * (rand(FOUND, 4) - 0.5) * rand(FOUND, 1)
        xyxy[:, 2:] = torch.maximum(xyxy[:, 2:], xyxy[:, :2] + 1)
        other = torch.randint(CLASSES, (FOUND,), generator=draw)
        found.append(Found(xyxy, rand(FOUND), labels[of].where(rand(FOUND) < 0.67, other)))
    image = torch.arange(BATCH).repeat_interleave(OBJECTS)
    crowd, area = rand(len(image)) < 0.02, 0.7 * side.prod(-1).flatten()
    ids = first + torch.arange(BATCH)
    return found, Annotations(ids, true.flatten(0, 1), label.flatten(), image, crowd, area)


def counted_by_us(batches: list[tuple[list[Found], Annotations]]) -> None:
    metric = DetectionMetric(CLASSES)
    for one in batches:
        metric.update(*one)
    metric.compute()


def counted_by_torchmetrics(
    batches: list[tuple[list[Found], Annotations]], backend: str, by_class: bool
) -> None:
    metric = MeanAveragePrecision(backend=backend, class_metrics=by_class)
    for found, truth in batches:
        said = [{"boxes": f.xyxy, "scores": f.score, "labels": f.label} for f in found]
        true = []
        for i in range(BATCH):
            own = truth.image == i
            true.append(
                {
                    "boxes": truth.xyxy[own],
                    "labels": truth.label[own],
                    "iscrowd": truth.crowd[own].long(),
                    "area": truth.area[own],
                }
            )
        metric.update(said, true)
    with contextlib.redirect_stdout(io.StringIO()):
        metric.compute()


def best(act: Callable[[], None], rounds: int = 2) -> float:
    """Seconds of processor time of the fastest round."""
    seconds = []
    for _ in range(rounds):
        start = time.process_time()
        act()
        seconds.append(time.process_time() - start)
    return min(seconds)

"""Average precision by COCO's protocol, counted by faster-coco-eval."""

from typing import Any, NamedTuple

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster

from cnnlab.metrics.box_tables import FoundTable, TrueTable, xywh

IOUS = np.linspace(0.5, 0.95, 10)
"""The overlaps from which a detection is right, over which `map` averages."""
RECALLS = np.linspace(0, 1, 101)
"""Where precision is read off."""
MOST_FOUND = 100
"""Detections of a class in an image that count, the surest."""


class Precision(NamedTuple):
    """Interpolated precision `(10 IoUs, 101 recalls, K)`, NaN of a class without an object."""

    all: np.ndarray
    small: np.ndarray
    """Of objects below 32^2 pixels of annotated area."""
    medium: np.ndarray
    """From there to 96^2."""
    large: np.ndarray


def precision(found: FoundTable, true: TrueTable, num_classes: int) -> Precision:
    """How many of the detections are right, at each overlap and recall (Lin et al. 2014).

    An image counts through what is in it: one without objects by its detections.
    """
    if true.crowd.all():  # of none, too
        nothing = np.full((len(IOUS), len(RECALLS), num_classes), np.nan)
        return Precision(nothing, nothing, nothing, nothing)
    images = [{"id": i} for i in np.union1d(found.image, true.image).tolist()]
    about: dict[str, Any] = {
        "images": images,
        "categories": [{"id": k} for k in range(num_classes)],
    }
    boxes = xywh(true.xyxy)
    annotations = _rows(boxes, true.image, true.label, true.area)
    for row, crowd in zip(annotations, true.crowd.tolist(), strict=True):
        row["iscrowd"] = int(crowd)
    boxes = xywh(found.xyxy)
    results = _rows(boxes, found.image, found.label, boxes[:, 2] * boxes[:, 3])
    for row, score in zip(results, found.score.tolist(), strict=True):
        row["score"] = score
    counted = COCOeval_faster(
        COCO(about | {"annotations": annotations}), COCO(about | {"annotations": results}), "bbox"
    )
    # Its own defaults, but not left to them.
    counted.params.iouThrs, counted.params.recThrs = IOUS, RECALLS
    counted.params.maxDets = [MOST_FOUND]
    counted.evaluate()
    counted.accumulate()
    # (IoU, recall, class, range of areas, most detections); -1: nothing to find.
    values = counted.eval["precision"][..., -1]
    values = np.where(values < 0, np.nan, values)
    return Precision(*np.moveaxis(values, -1, 0))


def _rows(
    boxes: np.ndarray, image: np.ndarray, label: np.ndarray, area: np.ndarray
) -> list[dict[str, Any]]:
    """What a COCO file has of each box; ids from 1, since 0 means 'unmatched' to the counting."""
    columns = (boxes.tolist(), image.tolist(), label.tolist(), area.tolist())
    return [
        {"id": i, "bbox": box, "image_id": where, "category_id": what, "area": size}
        for i, (box, where, what, size) in enumerate(zip(*columns, strict=True), start=1)
    ]

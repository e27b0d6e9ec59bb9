"""Why detections are wrong, and what was not detected."""

from typing import NamedTuple

import numpy as np
from faster_coco_eval.core import mask

from cnnlab.metrics.box_tables import FoundTable, TrueTable, xywh

KINDS = ("localisation", "confusion", "duplicate", "background", "missed")
RIGHT = 0.5
"""IoU from which a detection of the right class has found an object."""
TOUCHED = 0.1
"""IoU from which it has to do with one."""


class _Pairs(NamedTuple):
    """Detections and objects of one image each that overlap by `TOUCHED` or more."""

    found: np.ndarray
    """int64 `(P,)`: which detection."""
    true: np.ndarray
    """int64 `(P,)`: which object."""
    iou: np.ndarray
    """float64 `(P,)`; with a crowd the share of the detection that lies in it."""

    def take(self, which: np.ndarray) -> "_Pairs":
        return _Pairs(*(part[which] for part in self))


def count_errors(found: FoundTable, true: TrueTable, num_classes: int) -> np.ndarray:
    """Errors int64 `(5, K)` by kind (`KINDS`) and class.

    Judged are, of each class, as many detections as it has objects, the surest of the split
    (Hoiem et al. 2012): a perfect detector makes no error, and no threshold of scores has to be
    chosen. They find objects as in COCO's protocol at IoU 0.5: the surest first, each the object of
    its class that it overlaps most among those not yet found. One that finds none is, by the first
    line that holds (Hoiem's order, with duplicates apart as in TIDE, Bolya et al. 2020):

    - duplicate: overlaps an object of its class by 0.5 or more, which a surer one has found;
    - localisation: overlaps an object of its class by 0.1 or more;
    - confusion: overlaps an object of another class by 0.1 or more;
    - background: anything else.

    Missed are the objects that no judged detection found, except those that one is counted for as
    localisation or confusion (the object it overlaps most): what is mended there would find them.

    The class is that of the detection, of missed ones that of the object. Crowds are no objects; a
    detection half or more of which lies in a crowd of its class, and that finds nothing, is not
    judged.
    """
    pairs = _overlaps(found, true)
    same = found.label[pairs.found] == true.label[pairs.true]
    crowd = true.crowd[pairs.true]
    order = found.surest_first()
    finds = _matched(pairs.take(same & ~crowd & (pairs.iou >= RIGHT)), order, len(true.label))

    unjudged = np.zeros(len(found.label), bool)
    unjudged[pairs.found[same & crowd & (pairs.iou >= RIGHT)]] = True
    unjudged &= finds < 0
    objects = np.bincount(true.label[~true.crowd], minlength=num_classes)
    judged = _surest(found.label, order[~unjudged[order]], objects)

    own, own_iou = _nearest(pairs.take(same & ~crowd), len(found.label))
    other, other_iou = _nearest(pairs.take(~same & ~crowd), len(found.label))
    conditions = (own_iou >= RIGHT, own_iou >= TOUCHED, other_iou >= TOUCHED)
    kinds = [KINDS.index(kind) for kind in ("duplicate", "localisation", "confusion")]
    kind = np.select(conditions, kinds, KINDS.index("background"))

    wrong = judged & (finds < 0)
    seen = np.zeros(len(true.label), bool)
    seen[finds[judged & (finds >= 0)]] = True
    seen[own[wrong & (kind == KINDS.index("localisation"))]] = True
    seen[other[wrong & (kind == KINDS.index("confusion"))]] = True
    counts = np.zeros((len(KINDS), num_classes), np.int64)
    np.add.at(counts, (kind[wrong], found.label[wrong]), 1)
    np.add.at(counts[KINDS.index("missed")], true.label[~seen & ~true.crowd], 1)
    return counts


def _overlaps(found: FoundTable, true: TrueTable) -> _Pairs:
    images = np.intersect1d(found.image, true.image)
    parts = []
    for image in images:
        here = slice(*np.searchsorted(found.image, [image, image + 1]))
        there = slice(*np.searchsorted(true.image, [image, image + 1]))
        iou = mask.iou(
            xywh(found.xyxy[here]), xywh(true.xyxy[there]), true.crowd[there].astype(int).tolist()
        )
        i, j = np.nonzero(iou >= TOUCHED)
        parts.append((i + here.start, j + there.start, iou[i, j]))
    if not parts:
        return _Pairs(np.zeros(0, int), np.zeros(0, int), np.zeros(0))
    return _Pairs(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _matched(pairs: _Pairs, order: np.ndarray, objects: int) -> np.ndarray:
    """Which object each detection finds `(D,)`, -1: none; of equal overlaps the last, as COCO."""
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    finds = np.full(len(order), -1)
    taken = [False] * objects
    by_rank = pairs.take(np.lexsort((-pairs.true, -pairs.iou, rank[pairs.found])))
    for i, j in zip(by_rank.found.tolist(), by_rank.true.tolist(), strict=True):
        if finds[i] < 0 and not taken[j]:
            finds[i], taken[j] = j, True
    return finds


def _surest(label: np.ndarray, order: np.ndarray, most: np.ndarray) -> np.ndarray:
    """Whether a detection is among the first `most` `(K,)` of its class in `order`: bool `(D,)`."""
    chosen = np.zeros(len(label), bool)
    for k, count in enumerate(most.tolist()):
        chosen[order[label[order] == k][:count]] = True
    return chosen


def _nearest(pairs: _Pairs, detections: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each detection the object it overlaps most, and by how much; -1 and 0 without one."""
    which, iou = np.full(detections, -1), np.zeros(detections)
    rising = pairs.take(np.argsort(pairs.iou, kind="stable"))
    which[rising.found], iou[rising.found] = rising.true, rising.iou  # the last one stays
    return which, iou

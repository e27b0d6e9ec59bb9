"""What the loss makes of the anchors: which boxes get positives, and how many."""

from typing import NamedTuple

import torch
from torch import Tensor

from cnnlab.anchor_doctor.grids import Grids
from cnnlab.anchor_doctor.seen import Seen
from cnnlab.boxes.coverage import Coverage
from cnnlab.boxes.matcher import Matcher
from cnnlab.boxes.matching import Truth

MOST_MATCHED = 256
"""Images that are looked at: all pairs of boxes and anchors take longer than the rest together."""
_AT_ONCE = 8  # images


class Matched(NamedTuple):
    """Of some images and the M boxes in them."""

    positives: Tensor
    """int64 `(images,)`: anchors that stand for a box."""
    reached: Tensor
    """bool `(M,)`: has a positive, and overlaps an anchor enough for one."""
    forced: Tensor
    """bool `(M,)`: has one only since each box gets one."""


def match(seen: Seen, now: Coverage, grids: Grids, matcher: Matcher) -> Matched:
    """Match the anchors of the first `MOST_MATCHED` images as the loss does.

    Args:
        seen: boxes.
        now: what covers them.
        grids: the net's anchors.
        matcher: the loss's.
    """
    images = min(len(seen.id), MOST_MATCHED)
    boxes = int((seen.image < images).sum())
    positives = torch.zeros(images, dtype=torch.int64)
    has = torch.zeros(boxes + 1, dtype=torch.bool)  # the last: 'no box'
    for number, size in enumerate(seen.sizes):
        of_size = (seen.size[:images] == number).nonzero()[:, 0]
        for some in of_size.split(_AT_ONCE):
            rows = torch.isin(seen.image, some).nonzero()[:, 0]
            xyxy = seen.xyxy[rows]
            none = torch.zeros(len(rows), dtype=torch.int64)
            image = torch.searchsorted(some, seen.image[rows])
            truth = Truth.of(xyxy, none, image, none.bool())
            matches = matcher(grids.anchors(size), truth, len(some))
            positives[some] = matches.positive.sum(1)
            row = torch.cat((rows, torch.tensor([boxes])))[matches.box[matches.positive]]
            has[row] = True
    enough = now.iou[:boxes] >= matcher.foreground
    return Matched(positives, has[:boxes] & enough, has[:boxes] & ~enough)

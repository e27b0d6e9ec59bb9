"""What a reader finds in annotations, before it is judged."""

import math
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch

from cnnlab.data.bad_boxes import FAULTS, BadBoxes, judge
from cnnlab.data.box_table import BoxTable
from cnnlab.data.names import Names
from cnnlab.errors import UserError

NUM_NAMED = 10
"""How many bad boxes are told of, one by one."""


class Judged(NamedTuple):
    """A split that can be used."""

    table: BoxTable
    faults: list[str]
    """A line for each of the first bad boxes: where it stands, what it is, what became of it."""


class BoxRows:
    """Images and boxes of one split, in any order.

    Args:
        place: in words where a box stands, and the box as it is written there, of the name of its
            image and its `mark`.
        relative: lengths are shares of the image's width and height.

    Attributes:
        doubt: of all the boxes, which a refusal tells before how to mend one; set by the reader.
    """

    def __init__(self, place: Callable[[str, int], str], *, relative: bool) -> None:
        self.place, self.relative = place, relative
        self.doubt = ""
        self.names: list[str] = []
        # Columns of plain numbers: a large set has a million boxes.
        self.sizes, self.image, self.label = array("q"), array("q"), array("q")
        self.mark, self.crowd = array("q"), array("b")
        self.xyxy, self.area = array("d"), array("d")

    def add_image(self, name: str, height: int, width: int) -> int:
        """Its number; height and width in pixels, 0 where `relative`."""
        self.names.append(name)
        self.sizes.extend((height, width))
        return len(self.names) - 1

    def add_box(
        self,
        image: int,
        xyxy: Sequence[float],
        label: int,
        mark: int,
        *,
        crowd: bool = False,
        area: float = math.nan,
    ) -> None:
        """Of the image with that number.

        Args:
            image: see `add_image`.
            xyxy: in pixels, or relative.
            label: any number, which `table` turns into a class id.
            mark: by which the annotations tell it from others of the image or the file.
            crowd: it counts neither as found nor as missed.
            area: in pixels; NaN: the box's.
        """
        self.image.append(image)
        self.xyxy.extend(xyxy)
        self.label.append(label)
        self.mark.append(mark)
        self.crowd.append(crowd)
        self.area.append(area)

    def counts(self) -> dict[int, int]:
        """Boxes of each label there is."""
        labels, counts = np.unique(np.array(self.label, np.int64), return_counts=True)
        return dict(zip(labels.tolist(), counts.tolist(), strict=True))

    def table(self, ids: Mapping[int, int], policy: BadBoxes) -> Judged:
        """The boxes whose labels `ids` turns into class ids; others are left out.

        Raises:
            UserError: there are bad boxes and `policy` is `error`; names the first.
        """
        label = np.array(self.label, np.int64)
        classes = np.full(len(label), -1)
        for raw, id in ids.items():
            classes[label == raw] = id
        image = np.array(self.image, np.int64)
        order = np.argsort(image, kind="stable")
        order = order[classes[order] >= 0]
        image, mark = image[order], np.array(self.mark, np.int64)[order]
        xyxy = np.array(self.xyxy, np.float64).reshape(-1, 4)[order]
        sizes = np.array(self.sizes, np.int64).reshape(-1, 2)
        limits = np.ones((len(image), 2)) if self.relative else sizes[image, ::-1].astype(float)
        verdict = judge(xyxy, limits, policy)
        faults = [
            f"{self.place(self.names[image[i]], int(mark[i]))} {FAULTS[verdict.fault[i]]}"
            + ("; clipped" if verdict.clipped[i] else "; dropped")
            for i in np.flatnonzero(verdict.fault)[:NUM_NAMED]
        ]
        if faults and policy == "error":
            count = int((verdict.fault > 0).sum())
            more = f" ({count:,} such boxes in all)" if count > 1 else ""
            doubt = f"{self.doubt}; else " if self.doubt else ""
            raise UserError(
                f"{faults[0].rpartition(';')[0]}{more}; {doubt}mend it, or choose "
                "data.bad_boxes=clip or drop, which count them"
            )
        keep = verdict.keep
        area = np.array(self.area, np.float64)[order][keep]
        sides = verdict.xyxy[keep, 2:] - verdict.xyxy[keep, :2]
        area = np.where(np.isnan(area), sides.prod(1), area)
        total = len(self.names)
        first = np.concatenate(([0], np.cumsum(np.bincount(image[keep], minlength=total))))
        table = BoxTable(
            Names.of(self.names),
            torch.from_numpy(sizes),
            torch.from_numpy(first),
            torch.from_numpy(verdict.xyxy[keep]),
            torch.from_numpy(classes[order][keep]),
            torch.from_numpy(np.array(self.crowd, bool)[order][keep]),
            torch.from_numpy(area.astype(np.float32)),
            torch.from_numpy(verdict.clipped[keep]),
            torch.from_numpy(np.bincount(image[~keep], minlength=total)),
            self.relative,
        )
        return Judged(table, faults)

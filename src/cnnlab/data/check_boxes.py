"""A look into images and boxes before a long run: balance, sizes, what is broken."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from cnnlab.data.box_files import BoxFiles, SizesDifferError
from cnnlab.data.unreadable import UnreadableError
from cnnlab.errors import UserError

MOST = 20_000
"""Images of a split that are opened; of larger ones as many, evenly spaced."""

SIZES = {"small": 32.0**2, "medium": 96.0**2}
"""Areas in original pixels below which COCO calls an object so; else it is large."""

_NUM_SHOWN = 10


@dataclass
class SplitBoxes:
    """What the opened images of one split hold."""

    opened: int
    total: int
    boxes: Tensor
    """int64 `(K, 3)`: small, medium and large boxes of each class."""
    images: Tensor
    """int64 `(K,)`: in how many images each class is."""
    crowds: int = 0
    empty: int = 0
    """Images without a box."""
    clipped: int = 0
    dropped: int = 0


@dataclass
class BoxesReport:
    """What `check_boxes` found; files are named as they can be opened."""

    classes: list[str]
    splits: dict[str, SplitBoxes] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)
    sizes: list[str] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)
    """The first bad boxes of each split, and what became of them."""

    def lines(self) -> list[str]:
        """The report in words: a table of classes for each split, then the faults."""
        lines = []
        for name, split in self.splits.items():
            lines.append(
                f"{name}: {split.opened:,} of {split.total:,} images opened; {split.empty:,} "
                f"without boxes, {split.crowds:,} crowds, {split.clipped:,} bad boxes clipped, "
                f"{split.dropped:,} dropped"
            )
            lines += self._table(split)
        for what, found in (
            ("cannot be read", self.unreadable),
            ("images have another size than their annotation says", self.sizes),
            ("bad boxes, the first of each split", self.bad),
        ):
            lines += [f"{len(found):,} {what}"] if found else []
            lines += [f"  {case}" for case in found[:_NUM_SHOWN]]
            lines += [f"  and {len(found) - _NUM_SHOWN:,} more"] if len(found) > _NUM_SHOWN else []
        return lines

    def _table(self, split: SplitBoxes) -> list[str]:
        width = max(len(name) for name in [*self.classes, "class"])
        lines = [
            f"  {'class':<{width}}  {'boxes':>8}  {'small':>8}  {'medium':>8}  {'large':>8}  images"
        ]
        rows = zip(self.classes, split.boxes.tolist(), split.images.tolist(), strict=True)
        for name, sizes, images in rows:
            cells = "  ".join(f"{count:>8,}" for count in (sum(sizes), *sizes))
            lines.append(f"  {name:<{width}}  {cells}  {images:>6,}")
        return lines

    def refuse(self, bad_files: Literal["error", "skip"]) -> None:
        """Stop where a run would.

        Raises:
            UserError: sizes that differ; unreadable files unless they are skipped.
        """
        if self.sizes:
            raise UserError(
                f"{len(self.sizes)} images have another size than their annotation says (above)"
            )
        if self.unreadable and bad_files == "error":
            raise UserError(
                f"{len(self.unreadable)} files cannot be read (above); mend or remove them, or "
                "leave such files out with data.bad_files=skip"
            )


def check_boxes(
    splits: Mapping[str, BoxFiles], classes: list[str], most: int = MOST
) -> BoxesReport:
    """Open `most` images of each split, evenly spaced, and count their boxes."""
    report = BoxesReport(classes)
    for name, source in splits.items():
        total = len(source)
        ids = sorted({i * total // min(most, total) for i in range(min(most, total))})
        split = SplitBoxes(
            len(ids),
            total,
            torch.zeros(len(classes), 3, dtype=torch.int64),
            torch.zeros(len(classes), dtype=torch.int64),
            clipped=int(source.table.clipped.sum()),
            dropped=int(source.table.dropped.sum()),
        )
        report.splits[name] = split
        for id in ids:
            _look(source, id, report, split)
    return report


def _look(source: BoxFiles, id: int, report: BoxesReport, split: SplitBoxes) -> None:
    try:
        boxes = source.read(id).boxes
    except UnreadableError as error:
        report.unreadable.append(str(error))
        return
    except SizesDifferError as error:
        report.sizes.append(str(error))
        return
    split.empty += not len(boxes.label)
    split.crowds += int(boxes.crowd.sum())
    single = ~boxes.crowd
    label, area = boxes.label[single], boxes.area[single]
    kind = torch.bucketize(area, torch.tensor(list(SIZES.values())), right=True)
    split.boxes.index_put_((label, kind), torch.ones_like(label), accumulate=True)
    split.images[label.unique()] += 1

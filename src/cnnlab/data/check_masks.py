"""A look into images and masks before a long run: values, balance, what is broken."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from cnnlab.data.class_map import IGNORED
from cnnlab.data.mask_files import MaskFiles
from cnnlab.data.unreadable import UnreadableError
from cnnlab.errors import UserError

MOST = 20_000
"""Pairs of a split that are opened; of larger ones as many, evenly spaced."""

_NUM_SHOWN = 10


@dataclass
class SplitReport:
    """What the masks of one split hold."""

    opened: int
    total: int
    pixels: dict[int, int] = field(default_factory=dict)
    """By raw value."""
    images: dict[int, int] = field(default_factory=dict)
    """By raw value: in how many masks it occurs."""
    empty: list[str] = field(default_factory=list)
    """Masks in which every pixel is ignored."""


@dataclass
class MasksReport:
    """What `check_masks` found; files are named as they can be opened."""

    values: dict[int, str]
    splits: dict[str, SplitReport] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)
    sizes: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The report in words: a table of values for each split, then the faults."""
        lines = []
        for name, split in self.splits.items():
            lines.append(f"{name}: {split.opened:,} of {split.total:,} pairs opened")
            lines += self._histogram(split)
        for what, found in (
            ("cannot be read", self.unreadable),
            ("differ in size from their image", self.sizes),
            ("have values that data.values does not name", self.unknown),
            (
                "have nothing but ignored pixels",
                [file for split in self.splits.values() for file in split.empty],
            ),
        ):
            lines += [f"{len(found):,} {what}"] if found else []
            lines += [f"  {case}" for case in found[:_NUM_SHOWN]]
            lines += [f"  and {len(found) - _NUM_SHOWN:,} more"] if len(found) > _NUM_SHOWN else []
        return lines

    def _histogram(self, split: SplitReport) -> list[str]:
        """A line a raw value: class, share of all pixels and of those that count, images."""
        total = sum(split.pixels.values())
        counting = sum(n for v, n in split.pixels.items() if self.values.get(v, IGNORED) != IGNORED)
        width = max(len(name) for name in [*self.values.values(), "unknown"])
        lines = [f"  {'value':>5}  {'class':<{width}}  {'pixels':>7}  {'counting':>8}  images"]
        for value in sorted({*self.values, *split.pixels}):
            name = self.values.get(value, "unknown")
            pixels = split.pixels.get(value, 0)
            counted = name not in (IGNORED, "unknown")
            of_counting = f"{pixels / counting:8.2%}" if counted and counting else f"{'-':>8}"
            share = pixels / total if total else 0.0
            lines.append(
                f"  {value:>5}  {name:<{width}}  {share:7.2%}  {of_counting}  "
                f"{split.images.get(value, 0):>6,}"
            )
        return lines

    def refuse(self, bad_files: Literal["error", "skip"]) -> None:
        """Stop where a run would.

        Raises:
            UserError: wrong values or sizes; unreadable files unless they are skipped; a split
                without a pixel of a class.
        """
        if self.unknown or self.sizes:
            raise UserError(
                f"{len(self.unknown)} masks have unknown values and {len(self.sizes)} another size "
                "than their image (above)"
            )
        if self.unreadable and bad_files == "error":
            raise UserError(
                f"{len(self.unreadable)} files cannot be read (above); mend or remove them, or "
                "leave such files out with data.bad_files=skip"
            )
        for name, split in self.splits.items():
            if all(self.values[value] == IGNORED for value in split.pixels):
                raise UserError(f"{name}: no class is left: every pixel is ignored")


def check_masks(splits: Mapping[str, MaskFiles], most: int = MOST) -> MasksReport:
    """Open `most` pairs of each split, evenly spaced, and count the values of the masks."""
    report = MasksReport(next(iter(splits.values())).class_map.values)
    for name, source in splits.items():
        total = len(source)
        ids = sorted({i * total // min(most, total) for i in range(min(most, total))})
        report.splits[name] = SplitReport(len(ids), total)
        for id in ids:
            _look(source, id, report, report.splits[name])
    return report


def _look(source: MaskFiles, id: int, report: MasksReport, split: SplitReport) -> None:
    try:
        pixels, raw = source.image(id), source.raw_mask(id)
    except UnreadableError as error:
        report.unreadable.append(str(error))
        return
    if raw.shape != pixels.shape[:2]:
        report.sizes.append(source.sizes_differ(id, pixels, raw))
    values, counts = np.unique(raw, return_counts=True)
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        split.pixels[value] = split.pixels.get(value, 0) + count
        split.images[value] = split.images.get(value, 0) + 1
    unknown = [value for value in values.tolist() if value not in report.values]
    if unknown:
        report.unknown.append(f"{source.mask_path(id)}: {', '.join(map(str, unknown[:10]))}")
    elif all(report.values[value] == IGNORED for value in values.tolist()):
        split.empty.append(source.mask_path(id))

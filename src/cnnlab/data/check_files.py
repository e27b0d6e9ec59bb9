"""A look into the files of a set before a long run: what is broken, what leaks."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from cnnlab.data.decode import BadImageError, Picture
from cnnlab.data.image_files import ImageFiles

MOST = 20_000
"""Files of a split that are opened; of larger ones as many, evenly spaced."""

_NUM_SHOWN = 10


@dataclass(frozen=True)
class FilesReport:
    """What `check_files` found; names are relative to the root of the set."""

    opened: dict[str, tuple[int, int]]
    """Of each split: how many files were opened, and how many it has."""
    unreadable: list[tuple[str, str]]
    """Name and cause."""
    damaged: list[tuple[str, str]]
    """Name and libjpeg's complaint: the file decodes, in part to something else than it was."""
    leaks: list[list[str]]
    """Files of equal content that are not all in the same split."""
    counts: dict[str, list[int]]
    """Of each split: how many images each class has."""

    def lines(self, classes: list[str]) -> list[str]:
        """The report in words."""
        lines = []
        for split, (opened, total) in self.opened.items():
            present = [(n, classes[i]) for i, n in enumerate(self.counts[split]) if n]
            (least, rare), (most, common) = min(present), max(present)
            lines.append(
                f"{split}: {opened:,} of {total:,} files opened; {len(present)} of {len(classes)} "
                f"classes, {least:,} ({rare}) to {most:,} ({common}) images each"
            )
        for what, found in (
            ("cannot be read", [f"{name}: {why}" for name, why in self.unreadable]),
            ("are damaged but decode", [f"{name}: {why}" for name, why in self.damaged]),
            ("contents stand in several splits", [" = ".join(names) for names in self.leaks]),
        ):
            lines += [f"{len(found):,} {what}"] if found else []
            lines += [f"  {case}" for case in found[:_NUM_SHOWN]]
            lines += [f"  and {len(found) - _NUM_SHOWN:,} more"] if len(found) > _NUM_SHOWN else []
        return lines


def check_files(splits: Mapping[str, ImageFiles], most: int = MOST) -> FilesReport:
    """Open `most` files of each split and decode them; compare contents between splits."""
    report = FilesReport({}, [], [], [], {})
    by_content: dict[bytes, list[tuple[str, str]]] = defaultdict(list)
    for split, source in splits.items():
        total = len(source)
        ids = sorted({i * total // min(most, total) for i in range(min(most, total))})
        report.opened[split] = len(ids), total
        targets = source.targets
        report.counts[split] = _counts(targets)
        for id in ids:
            name = source.names[id]
            try:
                with open(source.path(id), "rb") as file:
                    data = file.read()
                picture = Picture(data)
                picture.pixels()
            except (OSError, BadImageError) as error:
                cause = error.strerror if isinstance(error, OSError) else error
                report.unreadable.append((name, str(cause)))
                continue
            if picture.damage is not None:
                report.damaged.append((name, picture.damage))
            by_content[hashlib.sha256(data).digest()].append((split, name))
    for same in by_content.values():
        if len({split for split, _ in same}) > 1:
            report.leaks.append([name for _, name in same])
    return report


def _counts(targets: torch.Tensor) -> list[int]:
    return [int(n) for n in (targets.sum(0) if targets.ndim > 1 else targets.bincount())]

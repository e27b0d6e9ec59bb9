"""Folders of classes: what is in them, and whether it can be what was meant."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch

from cnnlab.data.image_files import Listing
from cnnlab.data.names import Names
from cnnlab.errors import UserError

EXTENSIONS = (
    *(".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm"),
)
"""Of image files, in small letters; other files in a class folder are left out."""

SPLIT_FOLDERS = {"train": ("train",), "val": ("val", "validation"), "test": ("test",)}

_QUIET_SECONDS = 3.0  # a scan that takes longer says how far it is


class ClassFolders(NamedTuple):
    """One split: `folder/CLASS/**/IMAGE`."""

    folder: Path
    classes: list[str]
    names: list[list[str]]
    """Of each class, relative to the root of the set."""

    def listing(self, ids: dict[str, int]) -> Listing:
        """With the class ids `ids`."""
        counts = torch.tensor([len(names) for names in self.names])
        targets = torch.tensor([ids[name] for name in self.classes])
        flat = Names.of(name for names in self.names for name in names)
        return Listing(flat, targets.repeat_interleave(counts))


def split_folders(root: Path) -> dict[str, Path]:
    """The folders of `root` that are named like splits.

    Raises:
        UserError: two of them are the same split.
    """
    found: dict[str, Path] = {}
    for split, names in SPLIT_FOLDERS.items():
        there = [root / name for name in names if (root / name).is_dir()]
        if len(there) > 1:
            raise UserError(f"data.root={root} has both {' and '.join(names)}; keep one of them")
        if there:
            found[split] = there[0]
    return found


def scan(root: Path, folder: Path) -> ClassFolders:
    """Read the class folders below `folder`, in sorted order; hidden ones are left out.

    Raises:
        UserError: there are none, or one has no image.
    """
    with os.scandir(folder) as entries:
        there = sorted(entry.name for entry in entries if not entry.name.startswith("."))
    classes = [name for name in there if (folder / name).is_dir()]
    if not classes:
        loose = f"; {there[0]} lies there without a class folder" if there else ""
        raise UserError(f"{folder} has no class folders{loose}; expected {folder}/CLASS/IMAGE")
    names: list[list[str]] = []
    start = said = time.monotonic()
    for name in classes:
        found = sorted(_images(str(folder / name)))
        if not found:
            others = sum(len(files) for _, _, files in os.walk(folder / name))
            raise UserError(
                f"the class folder {folder / name} has no image ({others} other files); images end "
                f"in {' '.join(EXTENSIONS)}; remove the folder or fill it"
            )
        names.append([os.path.relpath(path, root) for path in found])
        if (now := time.monotonic()) - max(said, start) > _QUIET_SECONDS:
            said = now
            total = sum(map(len, names))
            print(f"reading {folder}: {total:,} images so far", file=sys.stderr, flush=True)
    return ClassFolders(folder, classes, names)


def _images(folder: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.name.lower().endswith(EXTENSIONS):
                yield entry.path
            elif entry.is_dir():
                yield from _images(entry.path)


def same_classes(splits: list[ClassFolders]) -> list[str]:
    """The class names, sorted.

    Raises:
        UserError: a split lacks the folder of a class that another one has.
    """
    for split in splits:
        for other in splits:
            if lacking := sorted(set(other.classes) - set(split.classes)):
                more = f" and {len(lacking) - 1} more classes" if len(lacking) > 1 else ""
                raise UserError(
                    f"{split.folder / lacking[0]} is missing{more}: {other.folder} has "
                    f"{len(other.classes)} classes, {split.folder} {len(split.classes)}; every "
                    "split needs images of every class"
                )
    return sorted(splits[0].classes)

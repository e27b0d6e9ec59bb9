"""Which mask belongs to which image: names that are alike, and lists."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cnnlab.data.scan import EXTENSIONS
from cnnlab.errors import UserError

MASK_EXTENSIONS = (".png", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".pbm")
"""Of files without loss, in small letters."""

NUM_NAMED = 10
"""How many files a message or the record names of those that share a fault."""

PairNames = list[tuple[str, str]]
"""Image and mask, relative to the root of the set."""


def by_stem(root: Path, folder: Path, endings: Sequence[str]) -> dict[str, str]:
    """The files at any depth below `folder` whose names end in one of `endings`; sorted.

    Hidden ones are left out. No file is opened or looked up.

    Args:
        root: of the set.
        folder: below it.
        endings: of names, upper and lower case alike.

    Returns:
        Path below `folder` without the ending -> path below `root`.

    Raises:
        UserError: two files differ in nothing but the ending.
    """
    ends = tuple(ending.lower() for ending in endings)
    found: dict[str, str] = {}
    start, base = len(str(folder)) + 1, folder.relative_to(root)
    for path in sorted(_files(str(folder), ends)):
        ending = next(end for end in ends if path.lower().endswith(end))
        stem, name = path[start : -len(ending)], f"{base}/{path[start:]}"
        if stem in found:
            raise UserError(f"{root}: {found[stem]} and {name} have the same stem; keep one")
        found[stem] = name
    return found


def _files(folder: str, endings: tuple[str, ...]) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.name.lower().endswith(endings):
                yield entry.path
            elif entry.is_dir():
                yield from _files(entry.path, endings)


def paired(
    root: Path,
    images: Path,
    masks: Path,
    image_endings: Sequence[str] = EXTENSIONS,
    mask_endings: Sequence[str] = MASK_EXTENSIONS,
) -> dict[str, tuple[str, str]]:
    """Stem -> image and mask, of two folders with the same stems; see `by_stem`.

    Raises:
        UserError: there is no image; images without a mask or masks without an image, by name.
    """
    found = by_stem(root, images, image_endings)
    of_masks = by_stem(root, masks, mask_endings)
    if not found:
        raise UserError(f"{images} has no image; they end in {' '.join(image_endings)}")
    alone = {
        f"images have no mask in {masks}": [found[s] for s in found if s not in of_masks],
        f"masks have no image in {images}": [of_masks[s] for s in of_masks if s not in found],
    }
    faults = [f"{len(names):,} {what}: {named(names)}" for what, names in alone.items() if names]
    if faults:
        raise UserError(
            f"{root}: {'; '.join(faults)}. Their paths must be alike up to the ending, which of "
            f"masks is {' '.join(mask_endings)}"
        )
    return {stem: (name, of_masks[stem]) for stem, name in found.items()}


def existing(root: Path, pairs: Mapping[str, PairNames]) -> None:
    """Refuse lists that name files which are not there: each file is looked up.

    Raises:
        UserError: naming the first few, and of what.
    """
    missing = [
        f"{name} ({split})"
        for split, of_split in pairs.items()
        for pair in of_split
        for name in pair
        if not os.path.isfile(os.path.join(root, name))
    ]
    if missing:
        raise UserError(f"{root}: missing: {named(missing)}")


def there(root: Path, layout: str, *names: str) -> Path:
    """The first of `root/NAME` that is there.

    Args:
        root: of the set.
        layout: what lies below it, in words.
        names: below it.

    Raises:
        UserError: there is none; says what the set is made of.
    """
    paths = [root / name for name in names]
    for path in paths:
        if path.exists():
            return path
    raise UserError(
        f"{' or '.join(map(str, paths))} is missing; data.root={root} must hold {layout}; "
        "docs/data.md says where it comes from"
    )


def lines_of(file: Path) -> list[str]:
    """The lines of a list that are neither empty nor comments.

    Raises:
        UserError: there is none; it is not UTF-8.
    """
    try:
        lines = [line.strip() for line in file.read_text("utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: is no text in UTF-8") from error
    kept = [line for line in lines if line and not line.startswith("#")]
    if not kept:
        raise UserError(f"{file}: names no image")
    return kept


def named(names: Sequence[str], most: int = NUM_NAMED) -> str:
    """The first `most`, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more

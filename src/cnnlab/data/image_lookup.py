"""Which images of a list there are, and where."""

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from cnnlab.data.decode import BadImageError, Picture
from cnnlab.data.pairing import named
from cnnlab.data.unreadable import cause, read_bytes
from cnnlab.errors import UserError


def missing(root: Path, names: Iterable[str]) -> list[str]:
    """The names, relative to `root`, of which there is no file; each folder is listed once."""
    folders: dict[str, list[str]] = defaultdict(list)
    for name in names:
        folders[os.path.dirname(name)].append(name)
    lacking = []
    for folder, of_folder in folders.items():
        try:
            present = set(os.listdir(os.path.join(root, folder)))
        except OSError:
            present = set()
        lacking += [name for name in of_folder if os.path.basename(name) not in present]
    return lacking


def refuse_missing(root: Path, names: Iterable[str], said_by: object) -> None:
    """Refuse a list that names files which are not there.

    Raises:
        UserError: naming the first few.
    """
    if lacking := missing(root, names):
        raise UserError(f"{said_by}: missing below {root}: {named(lacking)}")


def size_of(root: Path, name: str) -> tuple[int, int]:
    """Height and width of the upright image, for annotations that do not give them.

    Raises:
        UserError: it cannot be read.
    """
    path = os.path.join(root, name)
    try:
        picture = Picture(read_bytes(path))
    except (OSError, BadImageError) as error:
        raise UserError(
            f"{path}: its annotation gives no size, and it cannot be read: {cause(error)}"
        ) from error
    return picture.height, picture.width

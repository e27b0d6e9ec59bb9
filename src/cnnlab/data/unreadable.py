"""Files that cannot be read: named, and left out only by choice."""

import os
from pathlib import Path

import numpy as np

from cnnlab.data.decode import BadImageError, Picture
from cnnlab.errors import UserError


class UnreadableError(Exception):
    """A file that cannot be read; the text names it."""

    def refusal(self) -> UserError:
        """For the user, with what can be done about it."""
        return UserError(
            f"{self}; mend or remove it, or leave such files out and count them with "
            "data.bad_files=skip"
        )


def read_picture(root: Path, name: str, id: int) -> tuple[np.ndarray, int]:
    """The upright pixels of sample `id`, uint8 RGB `(H, W, 3)`, and the EXIF orientation it had.

    Raises:
        UnreadableError: naming the file.
    """
    path = os.path.join(root, name)
    try:
        picture = Picture(read_bytes(path))
        return picture.pixels(), picture.orientation
    except (OSError, BadImageError) as error:
        raise UnreadableError(f"image {id}, {path}, cannot be read: {cause(error)}") from error


def read_bytes(path: str) -> bytes:
    """The content of a file."""
    with open(path, "rb") as file:
        return file.read()


def cause(error: Exception) -> object:
    """Of an error that reading raised, without the file's name."""
    return error.strerror if isinstance(error, OSError) else error

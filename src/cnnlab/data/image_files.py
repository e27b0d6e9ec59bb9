"""One split of images in files, read one by one."""

import hashlib
import os
from pathlib import Path
from typing import Literal, NamedTuple, Self

from torch import Tensor

from cnnlab.data.batch import Sample
from cnnlab.data.decode import BadImageError, Picture
from cnnlab.data.names import Names
from cnnlab.data.sample_transforms import SampleTransform
from cnnlab.data.source import FileSource
from cnnlab.errors import UserError


class Listing(NamedTuple):
    """Which files a split has."""

    names: Names
    """Relative to the root of the set, with '/'; or absolute."""
    targets: Tensor
    """Class ids int64 `(N,)`, or float `(N, K)` for several labels an image."""

    def take(self, ids: Tensor) -> "Listing":
        """The files at `ids` (int64 `(M,)`)."""
        return Listing(self.names.take(ids), self.targets[ids])


class ImageFiles(FileSource):
    """The images of `listing` below `root`.

    Args:
        root: what the names are relative to.
        listing: names and targets.
        bad_files: what a file that cannot be read leads to: `error`, or `skip`: its sample is left
            out of its batch, which the loader counts.

    Attributes:
        transform: what is done to each picture; set before the first `load`.
    """

    transform: SampleTransform

    def __init__(self, root: Path, listing: Listing, bad_files: Literal["error", "skip"]) -> None:
        self.root, self.listing, self.bad_files = root, listing, bad_files
        self.targets = listing.targets

    @property
    def names(self) -> Names:
        return self.listing.names

    def subset(self, ids: Tensor) -> Self:
        return type(self)(self.root, self.listing.take(ids), self.bad_files)

    def digest(self) -> str:
        sha = hashlib.sha256(self.targets.contiguous().numpy().data)
        for name in self.names:
            sha.update(os.fsencode(name) + b"\0")
        return sha.hexdigest()

    def path(self, id: int) -> str:
        """Of the file of sample `id`."""
        return os.path.join(self.root, self.names[id])

    def load(self, id: int, epoch: int) -> Sample | None:
        path = self.path(id)
        try:
            with open(path, "rb") as file:
                picture = Picture(file.read())
            image, frame = self.transform(picture, epoch, id)
        except (OSError, BadImageError) as error:
            if self.bad_files == "skip":
                return None
            cause = error.strerror if isinstance(error, OSError) else error
            raise UserError(
                f"image {id}, {path}, cannot be read: {cause}; mend or remove the file, or leave "
                "such files out and count them with data.bad_files=skip"
            ) from error
        return Sample(image, self.targets[id], frame)

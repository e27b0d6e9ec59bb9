"""One split of images and their masks in files, read pair by pair."""

import hashlib
import os
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, Self

import numpy as np
import torch
from torch import Tensor

from cnnlab.data.batch import Sample
from cnnlab.data.class_map import ClassMap, UnknownValueError
from cnnlab.data.decode import BadImageError
from cnnlab.data.decode_mask import mask_values
from cnnlab.data.names import Names
from cnnlab.data.source import FileSource
from cnnlab.data.unreadable import UnreadableError, cause, read_bytes, read_picture
from cnnlab.errors import UserError


class Pairs(NamedTuple):
    """Which images a split has, and the mask of each; relative to the root, with '/'."""

    images: Names
    masks: Names

    def take(self, ids: Tensor) -> "Pairs":
        """The pairs at `ids` (int64 `(M,)`)."""
        return Pairs(self.images.take(ids), self.masks.take(ids))


class PairTransform(Protocol):
    """What a source does to each image and its mask."""

    def __call__(
        self, pixels: np.ndarray, mask: np.ndarray, epoch: int, id: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Image uint8 `(3, H, W)`, mask uint8 `(H', W')` and frame, as in `Batch`.

        Args:
            pixels: uint8 `(H0, W0, 3)`.
            mask: class ids uint8 `(H0, W0)`, 255 = ignore.
            epoch: of training; 0 in evaluation.
            id: of the sample.
        """


class MaskFiles(FileSource):
    """The images of `pairs` below `root`, with masks whose values `class_map` knows.

    Args:
        root: what the names are relative to.
        pairs: names.
        class_map: from a mask's values to classes.
        bad_files: what a file that cannot be read leads to: `error`, or `skip`. A mask whose
            values or size are wrong is an error always.

    Attributes:
        transform: what is done to each pair; set before the first `load`.
    """

    transform: PairTransform

    def __init__(
        self, root: Path, pairs: Pairs, class_map: ClassMap, bad_files: Literal["error", "skip"]
    ) -> None:
        self.root, self.pairs, self.class_map = root, pairs, class_map
        self.bad_files: Literal["error", "skip"] = bad_files
        # All are one stratum: which classes an image has is known only when its mask is read.
        self.targets = torch.zeros(len(pairs.images), dtype=torch.int64)

    @property
    def names(self) -> Names:
        """Of the images."""
        return self.pairs.images

    def subset(self, ids: Tensor) -> Self:
        return type(self)(self.root, self.pairs.take(ids), self.class_map, self.bad_files)

    def digest(self) -> str:
        sha = hashlib.sha256(repr(self.class_map.values).encode())
        for names in self.pairs:
            for name in names:
                sha.update(os.fsencode(name) + b"\0")
        return sha.hexdigest()

    def load(self, id: int, epoch: int) -> Sample | None:
        try:
            pixels = self.image(id)
            mask = self.mask(id)
        except UnreadableError as error:
            if self.bad_files == "skip":
                return None
            raise error.refusal() from error
        if mask.shape != pixels.shape[:2]:
            raise UserError(self.sizes_differ(id, pixels, mask))
        image, target, frame = self.transform(pixels, mask, epoch, id)
        return Sample(image, target, frame)

    def image(self, id: int) -> np.ndarray:
        """Uint8 RGB `(H, W, 3)`, upright.

        Raises:
            UnreadableError: naming the file.
        """
        return read_picture(self.root, self.pairs.images[id], id)[0]

    def raw_mask(self, id: int) -> np.ndarray:
        """The values as they are in the file, uint8 or uint16 `(H, W)`.

        Raises:
            UnreadableError: naming the file.
        """
        path = self.mask_path(id)
        try:
            return mask_values(read_bytes(path))
        except (OSError, BadImageError) as error:
            raise UnreadableError(
                f"mask of image {id}, {path}, cannot be read: {cause(error)}"
            ) from error

    def mask(self, id: int) -> np.ndarray:
        """Class ids, uint8 `(H, W)`, 255 = ignore.

        Raises:
            UnreadableError: naming the file.
            UserError: values that are not in the map, with the file.
        """
        try:
            return self.class_map(self.raw_mask(id))
        except UnknownValueError as error:
            known = ", ".join(map(str, list(self.class_map.values)[:12]))
            more = ", ..." if len(self.class_map.values) > 12 else ""
            raise UserError(
                f"{self.mask_path(id)}: has the values {error}, which data.values does not name; "
                f"it has {known}{more}. Name them, as a class or as 'ignore'"
            ) from error

    def mask_path(self, id: int) -> str:
        """Of the mask of sample `id`."""
        return os.path.join(self.root, self.pairs.masks[id])

    def sizes_differ(self, id: int, pixels: np.ndarray, mask: np.ndarray) -> str:
        """The line for an image and a mask of different sizes."""
        (h, w), (mh, mw) = pixels.shape[:2], mask.shape
        return (
            f"{self.mask_path(id)}: is {mw} x {mh} pixels and its image {self.pairs.images[id]} "
            f"{w} x {h}"
        )

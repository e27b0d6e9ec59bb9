"""One split of images and their boxes in files, read image by image."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, Self

import numpy as np
import torch
from torch import Tensor

from cnnlab.data.batch import Boxes, Sample
from cnnlab.data.box_table import BoxTable
from cnnlab.data.names import Names
from cnnlab.data.source import FileSource
from cnnlab.data.unreadable import UnreadableError, read_picture
from cnnlab.errors import UserError


class Seen(NamedTuple):
    """An image and the boxes in it, both upright."""

    pixels: np.ndarray
    """uint8 RGB `(H, W, 3)`."""
    boxes: Boxes
    """In its pixels."""


class BoxTransform(Protocol):
    """What a source does to each image and its boxes."""

    def partners(self, epoch: int, id: int, total: int) -> list[int]:
        """Samples of `total` that the transform needs besides `id`."""

    def __call__(
        self, seen: Seen, others: Sequence[Seen | None], epoch: int, id: int
    ) -> tuple[Tensor, Boxes, Tensor]:
        """Image uint8 `(3, H, W)`, boxes in its pixels, and frame, as in `Batch`.

        Args:
            seen: sample `id`.
            others: the partners; None for one that cannot be read and is skipped.
            epoch: of training; 0 in evaluation.
            id: of the sample.
        """


class SizesDifferError(Exception):
    """An image has not the size that its annotation says; the text names it."""


class BoxFiles(FileSource):
    """The images of `table` below `root`, with their boxes.

    Boxes are taken to be of the upright image. Where the annotation's width and height are those of
    the image as it is stored, and EXIF turns it by a quarter, its boxes are turned with it.

    Args:
        root: what the names are relative to.
        table: names and boxes.
        bad_files: what a file that cannot be read leads to: `error`, or `skip`. An image of
            another size than its annotation says is an error always.

    Attributes:
        transform: what is done to each image; set before the first `load`.
    """

    transform: BoxTransform

    def __init__(self, root: Path, table: BoxTable, bad_files: Literal["error", "skip"]) -> None:
        self.root, self.table, self.bad_files = root, table, bad_files
        self.targets = torch.zeros(len(table.names), dtype=torch.int64)  # one stratum

    @property
    def names(self) -> Names:
        """Of the images."""
        return self.table.names

    def subset(self, ids: Tensor) -> Self:
        return type(self)(self.root, self.table.take(ids), self.bad_files)

    def digest(self) -> str:
        table = self.table
        sha = hashlib.sha256(repr(table.relative).encode())
        for tensor in (table.sizes, table.first, table.xyxy, table.label, table.crowd, table.area):
            sha.update(tensor.contiguous().numpy().data)
        for name in table.names:
            sha.update(os.fsencode(name) + b"\0")
        return sha.hexdigest()

    def load(self, id: int, epoch: int) -> Sample | None:
        try:
            seen = self.read(id)
            partners = self.transform.partners(epoch, id, len(self))
            others = [self._partner(other) for other in partners]
        except UnreadableError as error:
            if self.bad_files == "skip":
                return None
            raise error.refusal() from error
        except SizesDifferError as error:
            raise UserError(str(error)) from error
        return Sample(*self.transform(seen, others, epoch, id))

    def _partner(self, id: int) -> Seen | None:
        try:
            return self.read(id)
        except UnreadableError:
            if self.bad_files == "skip":
                return None  # it is counted where it is a sample itself
            raise

    def read(self, id: int) -> Seen:
        """An image and its boxes, as they are.

        Raises:
            UnreadableError: naming the file.
            SizesDifferError: naming the file.
        """
        pixels, orientation = read_picture(self.root, self.names[id], id)
        height, width = pixels.shape[:2]
        boxes = self.table.boxes(id)
        if self.table.relative:
            scale = boxes.xyxy.new_tensor([width, height] * 2)
            return Seen(
                pixels, boxes._replace(xyxy=boxes.xyxy * scale, area=boxes.area * width * height)
            )
        said = tuple(self.table.sizes[id].tolist())
        if said == (height, width):
            return Seen(pixels, boxes)
        if said == (width, height) and orientation in _TURNS:
            return Seen(pixels, boxes._replace(xyxy=turned(boxes.xyxy, said, orientation)))
        raise SizesDifferError(
            f"{os.path.join(self.root, self.names[id])}: is {width} x {height} pixels, and its "
            f"annotation says {said[1]} x {said[0]}"
        )


_TURNS = {5: (False, False), 6: (True, False), 7: (True, True), 8: (False, True)}
"""By EXIF orientation, which sides of the stored image end up reversed: the vertical one, which
becomes x, and the horizontal one, which becomes y."""


def turned(xyxy: Tensor, size: tuple[int, int], orientation: int) -> Tensor:
    """Boxes of an image as it is stored in those of the upright one, `(N, 4)`.

    Args:
        xyxy: `(N, 4)`.
        size: height and width of the stored image in pixels.
        orientation: EXIF's, 5 to 8: a quarter turn, perhaps mirrored.
    """
    (height, width), (flip_y, flip_x) = size, _TURNS[orientation]
    x1, y1, x2, y2 = xyxy.unbind(-1)
    if flip_y:
        y1, y2 = height - y2, height - y1
    if flip_x:
        x1, x2 = width - x2, width - x1
    return torch.stack((y1, x1, y2, x2), -1)

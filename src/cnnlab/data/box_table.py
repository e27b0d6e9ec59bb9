"""The boxes of a split in flat arrays."""

from typing import NamedTuple

import torch
from torch import Tensor

from cnnlab.data.batch import Boxes
from cnnlab.data.names import Names


class BoxTable(NamedTuple):
    """S images and their N boxes, image after image.

    There is no Python object a box: a list of a million would be a million objects, and counting
    references to them writes to them, so that every forked worker ends up with a copy of its own.
    """

    names: Names
    """Of the images, relative to the root of the set."""
    sizes: Tensor
    """int64 `(S, 2)`: height and width in pixels that the annotations give; 0 where `relative`."""
    first: Tensor
    """int64 `(S + 1,)`: where the boxes of each image begin, and N."""
    xyxy: Tensor
    """float32 `(N, 4)`: x1, y1, x2, y2 within the image."""
    label: Tensor
    """int64 `(N,)`."""
    crowd: Tensor
    """bool `(N,)`."""
    area: Tensor
    """float32 `(N,)`: as annotated, else the box's; in the square of what `xyxy` is in."""
    clipped: Tensor
    """bool `(N,)`: cut off at the image's edge, since it reached beyond."""
    dropped: Tensor
    """int64 `(S,)`: boxes of each image that are left out as bad."""
    relative: bool
    """Whether lengths are shares of the image's width and height, and not pixels."""

    def take(self, ids: Tensor) -> "BoxTable":
        """The images `ids`, int64 `(M,)`, in that order."""
        which, image = rows_of(self.first, ids)
        counts = image.bincount(minlength=len(ids))
        return BoxTable(
            self.names.take(ids),
            self.sizes[ids],
            torch.cat((counts.new_zeros(1), counts.cumsum(0))),
            self.xyxy[which],
            self.label[which],
            self.crowd[which],
            self.area[which],
            self.clipped[which],
            self.dropped[ids],
            self.relative,
        )

    def boxes(self, id: int) -> Boxes:
        """Of one image, in what `xyxy` is in; copies."""
        of = slice(int(self.first[id]), int(self.first[id + 1]))
        label = self.label[of].clone()
        return Boxes(
            self.xyxy[of].clone(),
            label,
            torch.zeros_like(label),
            self.crowd[of].clone(),
            self.area[of].clone(),
        )

    def counts(self) -> Tensor:
        """int64 `(S,)`: boxes of each image."""
        return self.first.diff()


def rows_of(first: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """The rows of the images `ids`, and to which of `ids` each belongs, int64 `(M,)` both.

    Args:
        first: int64 `(S + 1,)`, where the rows of each image begin.
        ids: int64 `(B,)`.
    """
    starts, counts = first[ids], first[ids + 1] - first[ids]
    image = torch.arange(len(ids)).repeat_interleave(counts)
    before = counts.cumsum(0) - counts  # rows of the images before
    return torch.arange(len(image)) + (starts - before)[image], image

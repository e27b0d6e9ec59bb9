"""The boxes of a split in the pixels that the net sees."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from cnnlab.data.batch import Batch, Boxes
from cnnlab.data.module import DataModule

MOST = 2000
"""Images of a split that are looked at; whole batches, so it may be a few more."""


class Seen(NamedTuple):
    """N boxes in I images; crowds, which no anchor has to find, are not among them."""

    xyxy: Tensor
    """float32 `(N, 4)`."""
    image: Tensor
    """int64 `(N,)`, ascending: which of the images."""
    id: Tensor
    """int64 `(I,)`: of the image in its split."""
    size: Tensor
    """int64 `(I,)`: which of `sizes`."""
    sizes: list[tuple[int, int]]
    """Heights and widths of batches, padding included."""

    @property
    def sides(self) -> Tensor:
        """Widths and heights of the boxes, `(N, 2)`."""
        return self.xyxy[:, 2:] - self.xyxy[:, :2]

    def groups(self) -> Iterator[tuple[tuple[int, int], Tensor]]:
        """Of each size the boxes in images of it, as rows int64."""
        of_box = self.size[self.image]
        for number, size in enumerate(self.sizes):
            yield size, (of_box == number).nonzero()[:, 0]


def look(batches: Iterable[Batch], most: int = MOST) -> Seen:
    """The boxes of the first batches, until these have `most` images."""
    xyxy, image, ids, numbers = [], [], [], []
    sizes: dict[tuple[int, int], int] = {}
    count = 0
    for batch in batches:
        boxes: Boxes = batch.targets
        own = boxes.take(~boxes.crowd)
        xyxy.append(own.xyxy)
        image.append(own.image + count)
        ids.append(batch.ids)
        height, width = batch.images.shape[-2:]
        number = sizes.setdefault((height, width), len(sizes))
        numbers.append(torch.full_like(batch.ids, number))
        count += len(batch.ids)
        if count >= most:
            break
    return Seen(torch.cat(xyxy), torch.cat(image), torch.cat(ids), torch.cat(numbers), list(sizes))


def look_at_training(data: DataModule) -> Seen:
    """As training sees them in its first epoch: cropped, scaled and mirrored."""
    batches = enumerate(data.train_dataloader())
    return look(data.prepare(batch, True, step) for step, batch in batches)


def look_at_val(data: DataModule) -> Seen:
    """As the evaluation sees them."""
    return look(data.prepare(batch, False, 0) for batch in data.val_dataloader())

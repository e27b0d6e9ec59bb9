"""What a step receives, and how single samples become it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from cnnlab.pixels import IGNORE


class Boxes(NamedTuple):
    """N boxes, flat over a batch; an image without objects has none."""

    xyxy: Tensor
    """float32 `(N, 4)`: x1, y1, x2, y2 in pixels of the batch's images."""
    label: Tensor
    """int64 `(N,)`: class ids."""
    image: Tensor
    """int64 `(N,)`, ascending: which image of the batch."""
    crowd: Tensor
    """bool `(N,)`: a region of many objects, which counts neither as found nor as missed."""
    area: Tensor
    """float32 `(N,)`: of the object in pixels of the original image, as it was annotated."""

    @classmethod
    def none(cls) -> "Boxes":
        """Of an image without objects."""
        return cls(
            torch.zeros(0, 4),
            torch.zeros(0, dtype=torch.int64),
            torch.zeros(0, dtype=torch.int64),
            torch.zeros(0, dtype=torch.bool),
            torch.zeros(0),
        )

    def take(self, which: Tensor) -> "Boxes":
        """Those at `which`, bool `(N,)` or int64 `(M,)`."""
        return Boxes(*(part[which] for part in self))

    def scaled(self, factors: Tensor) -> "Boxes":
        """Lengths times `factors` `(B, 2)`, those in y and x of each image."""
        return self._replace(xyxy=self.xyxy * factors[self.image].flip(1).repeat(1, 2))

    def mirrored(self, side: int, axis: int) -> "Boxes":
        """Left and right (`axis` 0) or up and down (1) exchanged in images of `side` pixels."""
        corners = list(self.xyxy.unbind(-1))
        corners[axis], corners[axis + 2] = side - corners[axis + 2], side - corners[axis]
        return self._replace(xyxy=torch.stack(corners, -1))

    @classmethod
    def joined(cls, parts: Sequence["Boxes"]) -> "Boxes":
        """The boxes of single images as those of a batch of them."""
        numbers = [torch.full_like(part.label, i) for i, part in enumerate(parts)]
        fields = [torch.cat(field) for field in zip(*parts, strict=True)]
        return cls(*fields)._replace(image=torch.cat(numbers))


class Batch(NamedTuple):
    """B images and what is known about them."""

    images: Tensor
    """uint8 `(B, C, H, W)`, padded right and below; float32 and normalised once prepared."""
    targets: Any
    """Class ids int64 `(B,)`; float `(B, K)` after mixup and for several labels an image; masks
    `(B, H, W)` at the images' original size in evaluation, 255 = ignore: uint8, int64 once
    prepared; or `Boxes`."""
    ids: Tensor
    """int64 `(B,)`: the index in the split."""
    frames: Tensor
    """float32 `(B, 4)`: valid height and width in pixels, then the factors in y and x by which a
    length in this image becomes one in the original."""


class Sample(NamedTuple):
    """One image before collation."""

    image: Tensor
    """uint8 `(C, H, W)`."""
    target: Tensor | Boxes
    """int64 `()` or float `(K,)`; a mask uint8 `(H, W)`; boxes."""
    frame: Tensor
    """float32 `(4,)`, as in `Batch.frames`."""


def whole_frame(height: int, width: int) -> Tensor:
    """The frame of an image that is all valid and at its original size."""
    return torch.tensor([height, width, 1.0, 1.0])


def filling(mean: Sequence[float]) -> list[int]:
    """The level of each channel that is 0 once normalised: what pads images."""
    return [round(255 * m) for m in mean]


def collate(samples: Sequence[Sample], ids: Sequence[int], padding: Sequence[int] = (0,)) -> Batch:
    """Stack `samples`; what is smaller than the largest is padded right and below.

    Images with `padding`, a level for each channel or one for all; masks with `IGNORE`.
    """
    return Batch(
        _stacked([s.image for s in samples], padding),
        _collated([s.target for s in samples]),
        torch.tensor(ids, dtype=torch.int64),
        torch.stack([s.frame for s in samples]),
    )


def _collated(targets: Sequence[Any]) -> Any:
    if isinstance(targets[0], Boxes):
        return Boxes.joined(targets)
    return _stacked(targets, [IGNORE]) if targets[0].ndim == 2 else torch.stack(list(targets))


def _stacked(tensors: Sequence[Tensor], padding: Sequence[int]) -> Tensor:
    """`(B, C, H, W)` of images, `(B, H, W)` of masks."""
    height, width = (max(t.shape[d] for t in tensors) for d in (-2, -1))
    if all(t.shape[-2:] == (height, width) for t in tensors):
        return torch.stack(list(tensors))
    around = tensors[0].new_tensor(padding).view(-1, *[1] * (tensors[0].ndim - 1))
    stacked = around.expand(len(tensors), *tensors[0].shape[:-2], height, width).clone()
    for number, tensor in enumerate(tensors):
        stacked[number, ..., : tensor.shape[-2], : tensor.shape[-1]] = tensor
    return stacked

"""What a step receives, and how single samples become it."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from cnnlab.pixels import IGNORE


class Batch(NamedTuple):
    """B images and what is known about them."""

    images: Tensor
    """uint8 `(B, C, H, W)`, padded right and below; float32 and normalised once prepared."""
    targets: Tensor
    """Class ids int64 `(B,)`; float `(B, K)` after mixup and for several labels an image; masks
    `(B, H, W)` at the images' original size in evaluation, 255 = ignore: uint8, int64 once
    prepared."""
    ids: Tensor
    """int64 `(B,)`: the index in the split."""
    frames: Tensor
    """float32 `(B, 4)`: valid height and width in pixels, then the factors in y and x by which a
    length in this image becomes one in the original."""


class Sample(NamedTuple):
    """One image before collation."""

    image: Tensor
    """uint8 `(C, H, W)`."""
    target: Tensor
    """int64 `()` or float `(K,)`; a mask uint8 `(H, W)`."""
    frame: Tensor
    """float32 `(4,)`, as in `Batch.frames`."""


def whole_frame(height: int, width: int) -> Tensor:
    """The frame of an image that is all valid and at its original size."""
    return torch.tensor([height, width, 1.0, 1.0])


def collate(samples: Sequence[Sample], ids: Sequence[int]) -> Batch:
    """Stack `samples`; what is smaller than the largest is padded right and below.

    Images with 0, masks with `IGNORE`.
    """
    targets = [s.target for s in samples]
    return Batch(
        _stacked([s.image for s in samples], 0),
        _stacked(targets, IGNORE) if targets[0].ndim == 2 else torch.stack(targets),
        torch.tensor(ids, dtype=torch.int64),
        torch.stack([s.frame for s in samples]),
    )


def _stacked(tensors: Sequence[Tensor], value: int) -> Tensor:
    height, width = (max(t.shape[d] for t in tensors) for d in (-2, -1))
    return torch.stack([_padded(t, height, width, value) for t in tensors])


def _padded(tensor: Tensor, height: int, width: int, value: int) -> Tensor:
    below, right = height - tensor.shape[-2], width - tensor.shape[-1]
    return F.pad(tensor, (0, right, 0, below), value=value) if below or right else tensor

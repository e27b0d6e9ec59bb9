"""What a step receives, and how single samples become it."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Batch(NamedTuple):
    """B images and what is known about them."""

    images: Tensor
    """uint8 `(B, C, H, W)`, padded right and below; float32 and normalised once prepared."""
    targets: Tensor
    """Class ids int64 `(B,)`; float `(B, K)` after mixup and for several labels an image."""
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
    """int64 `()` or float `(K,)`."""
    frame: Tensor
    """float32 `(4,)`, as in `Batch.frames`."""


def whole_frame(height: int, width: int) -> Tensor:
    """The frame of an image that is all valid and at its original size."""
    return torch.tensor([height, width, 1.0, 1.0])


def collate(samples: Sequence[Sample], ids: Sequence[int]) -> Batch:
    """Stack `samples`; images smaller than the largest are padded with 0 right and below."""
    height = max(s.image.shape[-2] for s in samples)
    width = max(s.image.shape[-1] for s in samples)
    images = [_padded(s.image, height, width) for s in samples]
    return Batch(
        torch.stack(images),
        torch.stack([s.target for s in samples]),
        torch.tensor(ids, dtype=torch.int64),
        torch.stack([s.frame for s in samples]),
    )


def _padded(image: Tensor, height: int, width: int) -> Tensor:
    below, right = height - image.shape[-2], width - image.shape[-1]
    return F.pad(image, (0, right, 0, below)) if below or right else image

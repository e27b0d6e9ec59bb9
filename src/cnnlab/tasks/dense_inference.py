"""Looking at an image window by window, mirrored, and at several scales."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

Net = Callable[[Tensor], Tensor]
"""Images `(B, C, H, W)` to logits `(B, K, H, W)`."""


def windowed(net: Net, images: Tensor, window: tuple[int, int], overlap: float) -> Tensor:
    """Logits `(B, K, H, W)` from windows that all have the same size.

    The first and the last lie at the borders, the others evenly between. Where several see a pixel,
    their logits are averaged, weighted by a pyramid that falls to the window's border, since a net
    knows least there. Images smaller than a window are padded with 0 right and below.

    Args:
        net: sees windows only.
        images: normalised, `(B, C, H, W)`.
        window: height and width.
        overlap: the least share of a window that the next one sees again, in [0, 1).
    """
    height, width = images.shape[-2:]
    below, right = (max(0, w - n) for w, n in zip(window, (height, width), strict=True))
    images = F.pad(images, (0, right, 0, below))
    weight = _pyramid(window[0], images)[:, None] * _pyramid(window[1], images)
    total: Tensor | None = None
    weights = images.new_zeros(images.shape[-2:], dtype=torch.float32)
    for top in starts(images.shape[-2], window[0], overlap):
        rows = slice(top, top + window[0])
        for left in starts(images.shape[-1], window[1], overlap):
            columns = slice(left, left + window[1])
            logits = net(images[..., rows, columns]).float()
            if total is None:
                total = logits.new_zeros(*logits.shape[:2], *images.shape[-2:])
            total[..., rows, columns] += weight * logits
            weights[rows, columns] += weight
    assert total is not None
    return (total / weights)[..., :height, :width]


def starts(length: int, window: int, overlap: float) -> list[int]:
    """Where the windows along one side begin: as few as overlap by at least that share."""
    room = length - window
    step = max(1, int(window * (1 - overlap) + 1e-6))  # 1 - 0.8 is a little less than 0.2
    count = -(-room // step)
    return [round(i * room / count) for i in range(count + 1)] if count else [0]


def _pyramid(length: int, like: Tensor) -> Tensor:
    """1, 2, ... in the middle ..., 2, 1: `(length,)` float32."""
    up = torch.arange(1, length + 1, device=like.device, dtype=torch.float32)
    return torch.minimum(up, up.flip(0))


def averaged(net: Net, images: Tensor, flip: bool, scales: Sequence[float]) -> Tensor:
    """Logarithms of the mean probabilities over scaled and mirrored images, `(B, K, H, W)`.

    Args:
        net: what looks at each.
        images: normalised, `(B, C, H, W)`.
        flip: whether each is seen mirrored, too.
        scales: factors of the size.
    """
    size = images.shape[-2:]
    total: Tensor | None = None
    for scale in scales:
        scaled = images
        if scale != 1:
            new = [max(1, round(scale * side)) for side in size]
            scaled = F.interpolate(images, new, mode="bilinear", antialias=True)
        for mirrored in (False, True) if flip else (False,):
            logits = net(scaled.flip(-1) if mirrored else scaled).float()
            logits = logits.flip(-1) if mirrored else logits
            if scale != 1:
                logits = F.interpolate(logits, size, mode="bilinear")
            seen = logits.softmax(1)
            total = seen if total is None else total.add_(seen)
    assert total is not None
    mean = total / (len(scales) * (1 + flip))
    return mean.clamp(min=torch.finfo(mean.dtype).tiny).log()

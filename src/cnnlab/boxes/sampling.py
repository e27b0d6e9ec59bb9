"""A few candidates of each image, so that background does not outweigh the objects."""

from typing import NamedTuple

import torch
from torch import Tensor


class Drawn(NamedTuple):
    """S candidates of each of B images."""

    chosen: Tensor
    """int64 `(B, S)`."""
    positive: Tensor
    """bool `(B, S)`."""
    valid: Tensor
    """bool `(B, S)`: false where an image has fewer; such a row is to be left out."""


def draw_balanced(
    positive: Tensor,
    background: Tensor,
    count: int,
    share: float,
    generator: torch.Generator | None = None,
) -> Drawn:
    """Draw at random `count` of A candidates of each image, all images at once.

    At most `share` of `count` are positives; background fills up (Girshick 2015, section 2.3).
    Candidates that are neither are never drawn.

    Args:
        positive: bool `(B, A)`.
        background: bool `(B, A)`.
        count: an image.
        share: in 0..1.
        generator: None: torch's own of the device.
    """
    candidates = positive.shape[1]
    order = torch.rand(positive.shape, device=positive.device, generator=generator)
    some = order.masked_fill(~positive, -1).topk(min(int(count * share), candidates), 1)
    size = min(count, candidates)
    others = order.masked_fill(~background, -1).topk(size, 1)
    is_positive = some.values >= 0
    left = count - is_positive.sum(1, keepdim=True)
    is_other = (others.values >= 0) & (torch.arange(size, device=order.device) < left)
    index = torch.cat((some.indices, others.indices), 1)
    valid = torch.cat((is_positive, is_other), 1)
    place = valid.to(torch.uint8).topk(size, 1).indices
    of_positives = place < is_positive.shape[1]
    valid = valid.gather(1, place)
    return Drawn(index.gather(1, place), valid & of_positives, valid)

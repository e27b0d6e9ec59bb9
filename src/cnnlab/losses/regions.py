"""How far soft predictions and masks overlap, class by class: what Dice and its kin are made of."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cnnlab.pixels import split

Absent = Literal["skip", "count"]
"""What a class without a pixel in the target does: it is left out of the mean, or it counts (its
false positives cost; nothing predicted costs nothing)."""


class Regions(NamedTuple):
    """Sums over pixels that count: `(K,)` over the batch, or `(B, K)` of each image; float32."""

    both: Tensor
    """Of the probability where the class is true."""
    predicted: Tensor
    """Of the probability."""
    true: Tensor
    """Of the truth: pixels of the class."""


def two_classes(logits: Tensor) -> Tensor:
    """float32; one logit z a pixel (a sigmoid) becomes the two of an equal softmax, 0 and z."""
    logits = logits.float()
    return F.pad(logits, (0, 0, 0, 0, 1, 0)) if logits.shape[1] == 1 else logits


def soft_and_true(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Probabilities, truth, and which pixels count.

    Args:
        logits: `(B, K, H, W)`, or `(B, 1, H, W)` for two classes.
        targets: int64 `(B, H, W)`.

    Returns:
        float32 and bool `(B, K, H, W)`, both 0 in ignored pixels; bool `(B, 1, H, W)`.
    """
    labels, counts = split(targets)
    counts = counts.unsqueeze(1)
    logits = two_classes(logits)
    # Not a product: the softmax of an ignored pixel may be NaN.
    probabilities = logits.softmax(1).where(counts, 0.0)
    classes = torch.arange(logits.shape[1], device=logits.device).view(-1, 1, 1)
    return probabilities, (labels.unsqueeze(1) == classes) & counts, counts


def regions(logits: Tensor, targets: Tensor, per_image: bool) -> Regions:
    """The sums of `soft_and_true`, over the batch or image by image."""
    probabilities, truth, _ = soft_and_true(logits, targets)
    pixels = (2, 3) if per_image else (0, 2, 3)
    both = probabilities.where(truth, 0.0)
    return Regions(both.sum(pixels), probabilities.sum(pixels), truth.sum(pixels).float())


def mean_over_classes(values: Tensor, true: Tensor, absent: Absent) -> Tensor:
    """The mean over the classes, then over the images; 0 where no pixel counts.

    Args:
        values: `(K,)`, or `(B, K)`.
        true: pixels of each class, likewise. An image without any is in no mean.
        absent: whether classes without a pixel are in the mean.
    """
    present = true > 0
    if absent == "count":
        of_image = values.mean(-1)
    else:
        of_image = values.where(present, 0.0).sum(-1) / present.sum(-1).clamp(min=1)
    return mean_over_images(of_image, true)


def mean_over_images(values: Tensor, true: Tensor) -> Tensor:
    """The mean of `values` `()` or `(B,)` over those with a pixel in `true` `(K,)` or `(B, K)`."""
    counts = true.sum(-1) > 0
    return values.where(counts, 0.0).sum() / counts.sum().clamp(min=1)


class RegionLoss(nn.Module):
    """Base of the losses that are `1 - index`, the mean over the classes.

    logits `(B, K, H, W)`, or `(B, 1, H, W)` for two classes; targets int64 `(B, H, W)`, 255 =
    ignore; returns a scalar in [0, 1].

    Args:
        class_counts: not used.
        eps: in pixels, above and below the line; keeps an empty class finite.
        absent: whether a class without a pixel in the target is left out of the mean (`skip`), or
            costs where it is predicted (`count`): `P / (P + eps)` for P pixels of probability. Its
            slope is `eps / (P + eps)^2`, so to learn from it takes an eps of the order of P.
        per_image: a mean over images of their own index, or one index of the whole batch.
    """

    tasks = ("segmentation",)

    def __init__(
        self,
        class_counts: Sequence[int] | None = None,
        *,
        eps: float,
        absent: Absent,
        per_image: bool,
    ) -> None:
        super().__init__()
        self.eps, self.absent, self.per_image = eps, absent, per_image

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        found = regions(logits, targets, self.per_image)
        return mean_over_classes(1 - self.index(found), found.true, self.absent)

    def index(self, found: Regions) -> Tensor:
        """1 where all agrees, 0 where nothing does; `(K,)` or `(B, K)`."""
        raise NotImplementedError(type(self).__name__)

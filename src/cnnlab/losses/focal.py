"""Focal loss with a softmax over the classes."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cnnlab.errors import UserError
from cnnlab.losses.class_weights import class_weights as weights_for
from cnnlab.losses.regions import two_classes
from cnnlab.pixels import IGNORE, mean_over_pixels


class Focal(nn.Module):
    """`-sum_c alpha_c w_c t_c (1 - p_c)^gamma log p_c` with `p = softmax(logits)`.

    Lin et al. 2017, eq. 4 and 5, for one class an image: gamma 0 is cross-entropy, also in how the
    mean over the batch is weighted; for two classes it is the paper's sigmoid form. In a softmax
    several labels of an image would compete: those have a loss of their own, `SigmoidFocal`.

    logits `(B, K)`; targets int64 `(B,)` or, after mixup, float `(B, K)` shares; returns a scalar.
    Or logits `(B, K, H, W)`, `(B, 1, H, W)` for two classes; targets int64 `(B, H, W)`, 255 =
    ignore, as in `CrossEntropy`.

    Args:
        class_counts: images, or pixels, of each class.
        gamma: 0 is cross-entropy.
        alpha: the paper's factor a class, by which the mean does not divide; a number a is 1 - a
            for class 0 and a for class 1 of two; None: 1.
        class_weights: factors by whose sum the mean divides, as in `CrossEntropy`.

    Raises:
        UserError: an alpha, or weights, that do not fit the classes.
    """

    tasks = ("classification", "segmentation")
    weight: Tensor | None
    alpha: Tensor | None

    def __init__(
        self,
        class_counts: Sequence[int] | None = None,
        *,
        gamma: float,
        alpha: float | list[float] | None,
        class_weights: Literal["balanced", "effective"] | list[float] | None,
    ) -> None:
        super().__init__()
        self.gamma = gamma
        self.register_buffer("weight", weights_for(class_weights, class_counts), persistent=False)
        self.register_buffer("alpha", _alpha(alpha, class_counts), persistent=False)

    @property
    def mean_weight(self) -> Tensor | None:
        """The weight `(K,)` by which the mean over class ids divides; None: each image counts 1."""
        return self.weight

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        of_pixels = logits.ndim == 4
        log_p = (two_classes(logits) if of_pixels else logits.float()).log_softmax(1)
        # 1 - p without cancellation; not 0, where the slope of a power below 1 is infinite.
        rest = (-torch.expm1(log_p)).clamp(min=torch.finfo(log_p.dtype).tiny)
        terms = rest**self.gamma * log_p
        if self.alpha is not None:
            terms = terms * self.alpha.view(-1, *[1] * (terms.ndim - 2))
        if of_pixels:
            losses = F.nll_loss(terms, targets, self.weight, ignore_index=IGNORE, reduction="none")
            return mean_over_pixels(losses, targets, self.weight)
        if targets.ndim == 1:
            return F.nll_loss(terms, targets, self.weight)
        weighted = targets if self.weight is None else targets * self.weight
        return -(weighted * terms).sum(1).mean()


def _alpha(alpha: float | list[float] | None, class_counts: Sequence[int] | None) -> Tensor | None:
    if alpha is None:
        return None
    factors = [1 - alpha, alpha] if isinstance(alpha, float | int) else list(alpha)
    if class_counts is not None and len(factors) != len(class_counts):
        raise UserError(
            f"loss.alpha={alpha}: {len(factors)} factors for {len(class_counts)} classes; a number "
            "is for two, else a list with one factor a class"
        )
    return torch.tensor(factors, dtype=torch.float32)

"""Focal loss with a sigmoid a class."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from cnnlab.losses.class_weights import class_weights as weights_for


class SigmoidFocal(nn.Module):
    """`-w_c a_t (1 - s_t)^gamma log s_t`, the mean over (B, K) (Lin et al. 2017, eq. 5).

    `s_t` is the sigmoid's probability of the truth: s for a present class, 1 - s for an absent one;
    `a_t` is alpha and 1 - alpha likewise, or 1 if alpha is null. For several labels an image.

    logits `(B, K)`; targets float `(B, K)` in [0, 1], or int64 `(B,)`; returns a scalar.
    """

    tasks = ("classification", "multilabel")
    weight: Tensor | None

    def __init__(
        self,
        class_counts: Sequence[int] | None = None,
        *,
        gamma: float,
        alpha: float | None,
        class_weights: Literal["balanced", "effective"] | list[float] | None,
    ) -> None:
        super().__init__()
        self.gamma = gamma
        self.alpha = alpha
        self.register_buffer("weight", weights_for(class_weights, class_counts), persistent=False)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        logits = logits.float()
        if targets.ndim == 1:
            targets = F.one_hot(targets, logits.shape[1])
        targets = targets.float()
        loss = focal_terms(logits, targets, self.gamma, self.alpha)
        return loss.mean() if self.weight is None else (loss * self.weight).mean()


def focal_terms(logits: Tensor, targets: Tensor, gamma: float, alpha: float | None) -> Tensor:
    """`-a_t (1 - s_t)^gamma log s_t` of each element, `targets` in [0, 1]; all of one shape."""
    # Both terms of a shared target, so that shares after mixup are between their classes.
    present, absent = _term(-logits, gamma), _term(logits, gamma)
    if alpha is not None:
        present, absent = alpha * present, (1 - alpha) * absent
    return targets * present + (1 - targets) * absent


def focal_of_labels(logits: Tensor, label: Tensor, gamma: float, alpha: float | None) -> Tensor:
    """The sum of `focal_terms` over the classes where one at most is present.

    Takes half the time, and a fifth of the memory until the gradient is wanted: of thousands of
    anchors and many classes it is more than the net's.

    logits `(..., K)`; label int64 `(...)`, negative where no class is present; returns `(...)`.
    """
    loss: Tensor = _FocalOfLabels.apply(logits, label, gamma, alpha)
    return loss


class _FocalOfLabels(torch.autograd.Function):
    """Its slope is known with its value, and is all that is kept."""

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, label: Tensor, gamma: float, alpha: float | None
    ) -> Tensor:
        absent, present = (1.0, 1.0) if alpha is None else (1 - alpha, alpha)
        column, here = label.clamp(min=0).unsqueeze(-1), (label >= 0).unsqueeze(-1)
        # A present class costs what an absent one does whose logit has the other sign.
        own = logits.gather(-1, column)
        against = logits.scatter(-1, column, own.where(~here, -own))
        cost = F.softplus(against)  # -log(1 - s)
        s = against.sub_(cost).exp_()
        focus = s**gamma
        slope = (1 - s).mul_(cost).mul_(gamma).add_(s).mul_(focus)
        terms = focus.mul_(cost)
        weight = torch.where(here, present, absent)
        extra = (weight - absent) * terms.gather(-1, column)
        own = weight.where(~here, -weight) * slope.gather(-1, column)
        ctx.save_for_backward(slope.mul_(absent).scatter_(-1, column, own))
        return absent * terms.sum(-1) + extra.squeeze(-1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (slope,) = ctx.saved_tensors
        return slope * gradient.unsqueeze(-1), None, None, None


def _term(against: Tensor, gamma: float) -> Tensor:
    """`s^gamma -log(1 - s)` of logits that speak against the truth, s being their sigmoid."""
    cost = F.softplus(against)
    # The logarithm of s, which keeps its gradient where s itself is 0.
    return (gamma * (against - cost)).exp() * cost

"""Weights that make up for unequal numbers of images a class."""

from collections.abc import Sequence

import torch
from torch import Tensor

from cnnlab.errors import UserError, nearest

BETA = 0.999
RULES = ("balanced", "effective")


def class_weights(
    rule: str | Sequence[float] | None, class_counts: Sequence[int] | None
) -> Tensor | None:
    """Weights `(K,)` float32, or None for none.

    - "balanced": N / (K n_k). Their mean over the N training images is 1.
    - "effective": (1 - beta) / (1 - beta^n_k), the inverse of the effective number of images
      (Cui et al. 2019, eq. 3), beta = 0.999, scaled to mean 1 over the classes as in the paper.
    - A list: as it stands.

    A class without a training image gets the weight of one with one image.

    Args:
        rule: one of those.
        class_counts: n_k, images a class in the training split; with several labels an image,
            images that have the class; of masks pixels.

    Raises:
        UserError: an unknown rule, a rule without counts, `effective` with counts so large that it
            does nothing (pixels), or a list that does not fit the classes.
    """
    if rule is None:
        return None
    if isinstance(rule, str) and rule not in RULES:
        raise UserError(
            f"loss.class_weights={rule}: allowed are null, {', '.join(RULES)}, "
            f"or a list with one weight a class{nearest(rule, RULES)}"
        )
    if isinstance(rule, str):
        if class_counts is None:
            raise UserError(f"loss.class_weights={rule}: the classes of this data are not counted")
        counts = torch.tensor(class_counts, dtype=torch.float64).clamp(min=1)
        if rule == "balanced":
            return (counts.sum() / (len(counts) * counts)).float()
        weights = (1 - BETA) / (1 - BETA**counts)
        if weights.max() < 1.001 * weights.min() and counts.max() > 2 * counts.min():
            raise UserError(
                "loss.class_weights=effective: the rarest class comes "
                f"{int(counts.min()):,} times, so all weights are alike; balanced, or a list"
            )
        return (weights / weights.mean()).float()
    given = torch.tensor(list(rule), dtype=torch.float32)
    if class_counts is not None and len(given) != len(class_counts):
        raise UserError(
            f"loss.class_weights: a list of {len(given)} for {len(class_counts)} classes; "
            "it needs one weight a class"
        )
    if not (given.isfinite().all() and (given >= 0).all() and given.any()):
        raise UserError(
            f"loss.class_weights={list(rule)}: weights must be finite, not negative, and not all 0"
        )
    return given

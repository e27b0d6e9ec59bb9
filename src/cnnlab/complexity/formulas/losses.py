"""Losses as the decks print them, over lists of probabilities."""

from collections.abc import Sequence
from math import log


def focal_loss(p: float, target: int, alpha: float = 0.25, gamma: float = 2.0) -> float:
    """F22: -alpha_t (1 - p_t)^gamma log p_t of one probability; alpha_t = 1 - alpha for class 0."""
    p_t, alpha_t = (p, alpha) if target == 1 else (1 - p, 1 - alpha)
    return -alpha_t * (1 - p_t) ** gamma * log(p_t)


def dice_loss(p: Sequence[float], target: Sequence[float], eps: float = 1e-7) -> float:
    """F23: 1 - 2 sum(p g) / (sum p + sum g + eps); 1 where both are empty, as eps is below only."""
    overlap = sum(a * b for a, b in zip(p, target, strict=True))
    return 1 - 2 * overlap / (sum(p) + sum(target) + eps)

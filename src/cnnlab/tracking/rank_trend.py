"""Does a number order the arms as the metric does? Spearman's correlation, tested over the arms.

The test permutes the arms: if the number had nothing to do with the metric, all orders of the arms
would be equally likely (Spearman 1904; Pitman 1937, part II). Each arm counts once, with its mean
over the seeds. More seeds measure the same nets again and make no further evidence about what
orders nets: a test that takes each seed's order for a new one, such as Page's for ordered
alternatives, calls a chance order of ten nets significant in 4 studies of 10
(tests/tracking/test_rank_trend.py).
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy import ndarray

MOST_ARMS = 10
"""The exact distribution is counted up to here; beyond, it is close to Student's t."""


def spearman(numbers: Sequence[float], metric: Sequence[float]) -> float:
    """Spearman's rank correlation of two equally long lists, ties at their mean rank.

    0 where all of `metric` or all of `numbers` are equal: then there is no order to agree with.
    """
    x, y = centred_ranks(numbers), centred_ranks(metric)
    norm = math.sqrt(_product(x, x) * _product(y, y))
    return _product(x, y) / norm if norm else 0.0


def trend_p(numbers: Sequence[float], metric: Sequence[float]) -> float:
    """Two-sided p of the permutation test of `spearman`, one value of each list an arm.

    Exact, also with ties, for up to 10 arms. Beyond, from Student's t with two degrees of freedom
    fewer than arms (as `scipy.stats.spearmanr` has it). The least that it can be is 2 / n! for n
    arms without ties: 0.33 for three, 0.083 for four, 0.017 for five.
    """
    x, y = centred_ranks(numbers), centred_ranks(metric)
    if len(x) > MOST_ARMS:
        return _of_t(spearman(numbers, metric), len(x) - 2)
    import numpy as np

    chances = _chances(tuple(sorted(x)), tuple(sorted(y)))
    sums = np.abs(np.arange(len(chances)) - len(chances) // 2)
    return min(1.0, float(chances[sums >= abs(_product(x, y))].sum()))


def centred_ranks(values: Sequence[float]) -> list[int]:
    """Twice the rank less (n + 1): whole numbers that sum to 0, also with ties at mean ranks."""
    return [sum((a > b) - (a < b) for b in values) for a in values]


def _of_t(correlation: float, degrees: int) -> float:
    from scipy.special import stdtr

    if abs(correlation) >= 1:
        return 0.0
    t = correlation * math.sqrt(degrees / (1 - correlation**2))
    return 2 * float(stdtr(degrees, -abs(t)))


def _product(x: Sequence[int], y: Sequence[int]) -> int:
    return sum(a * b for a, b in zip(x, y, strict=True))


@cache
def _chances(x: tuple[int, ...], y: tuple[int, ...]) -> "ndarray":
    """Of each value of sum(x * y) over all orders of `y`, from -most to most.

    Counted over subsets: `by_used[mask]` holds the sums of the first x with the y in `mask`,
    2^n n steps instead of n!.
    """
    import numpy as np

    n = len(x)
    most = _product(sorted(map(abs, x)), sorted(map(abs, y)))
    by_used = np.zeros((1 << n, 2 * most + 1))
    by_used[0, most] = 1.0
    for mask in range(1, 1 << n):
        first = x[mask.bit_count() - 1]
        for index in range(n):
            if mask >> index & 1:
                by_used[mask] += np.roll(by_used[mask ^ (1 << index)], first * y[index])
    counts: ndarray = by_used[-1]
    return counts / counts.sum()

"""Does a number order the arms as the metric does? Spearman's correlation, tested over seeds.

The test is Page's for ordered alternatives (Page 1963, J. Am. Stat. Assoc. 58:216): within each
seed all orders of the arms are equally likely under the null hypothesis, and the statistic is the
sum over seeds of the rank products. Without ties that sum is the mean of Spearman's correlations;
with one seed the test is the exact permutation test of the one correlation. A t test over the
seeds' correlations is not used: few arms leave few possible correlations, often all equal, and then
it has no p or one that is too small (tests/tracking/test_rank_trend.py counts how often).
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy import ndarray

MOST_ARMS, MOST_SEEDS = 10, 20
"""The exact distribution is counted up to here; beyond, it is close to the normal one."""


def spearman(numbers: Sequence[float], metric: Sequence[float]) -> float:
    """Spearman's rank correlation of two equally long lists, ties at their mean rank.

    0 where all of `metric` or all of `numbers` are equal: then there is no order to agree with.
    """
    x, y = centred_ranks(numbers), centred_ranks(metric)
    norm = math.sqrt(_product(x, x) * _product(y, y))
    return _product(x, y) / norm if norm else 0.0


def trend_p(numbers: Sequence[float], seeds: Sequence[Sequence[float]]) -> float:
    """Two-sided p of Page's test.

    Exact, also with ties, for up to 10 arms and 20 seeds; beyond, from the normal distribution
    with the exact variance.

    Args:
        numbers: one an arm.
        seeds: of each seed the metric, one an arm.
    """
    x = centred_ranks(numbers)
    ranks = [centred_ranks(metric) for metric in seeds]
    seen = abs(sum(_product(x, y) for y in ranks))
    if len(x) > MOST_ARMS or len(ranks) > MOST_SEEDS:
        variance = sum(_product(x, x) * _product(y, y) for y in ranks) / (len(x) - 1)
        return math.erfc(seen / math.sqrt(2 * variance)) if variance else 1.0
    import numpy as np

    chances = np.ones(1)
    for y in ranks:
        chances = np.convolve(chances, _chances(tuple(sorted(x)), tuple(sorted(y))))
    middle = len(chances) // 2
    sums = np.abs(np.arange(len(chances)) - middle)
    return min(1.0, float(chances[sums >= seen].sum()))


def seeds_for_trend(mean: float, sd: float, arms: int, alpha: float, chance: float) -> int | None:
    """About how many seeds would find a mean correlation `mean` significant with that `chance`.

    By the normal distribution: (z(1 - alpha/2) s0 + z(chance) sd)^2 / mean^2, where s0 =
    1 / sqrt(arms - 1) is the spread of one seed's correlation under the null hypothesis.

    Args:
        mean: of the seeds' correlations; None is returned for 0.
        sd: their spread; s0 where there is one seed.
        arms: how many.
        alpha: significance level.
        chance: of a significant result.
    """
    from scipy.special import ndtri

    if mean == 0:
        return None
    spread = float(ndtri(1 - alpha / 2)) / math.sqrt(arms - 1) + float(ndtri(chance)) * sd
    return math.ceil((spread / mean) ** 2)


def centred_ranks(values: Sequence[float]) -> list[int]:
    """Twice the rank less (n + 1): whole numbers that sum to 0, also with ties at mean ranks."""
    return [sum((a > b) - (a < b) for b in values) for a in values]


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

"""Statistics over seeds: interval of a mean, paired t test, Holm, sign flips, seeds needed.

docs/statistics.md says how a verdict is made of them. Nothing here draws random numbers.
numpy and scipy are imported where they are used: definitions of ablations are read before a config
is valid, and must not wait for them.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

ALPHA = 0.05
"""Significance level of a family of contrasts."""
CONFIDENCE = 0.95
POWER = 0.8
"""The chance of a significant result for which the number of seeds is given."""
MOST_FLIPPED = 20
"""Differences whose signs are enumerated: 2^20 sums take milliseconds; beyond, there is no p."""
MOST_SEEDS = 10_000
"""Where the search for the number of seeds ends."""

Seed = int | str
"""`3`, or `3 model.seed=1` where a run's seeds are not one."""

_ROUNDING = 1e-12
"""Share of the largest value below which a spread is rounding, not spread."""


@dataclass(frozen=True)
class Summary:
    """Of values of one kind, in their own unit.

    Attributes:
        n: how many.
        mean: of them.
        sd: sample standard deviation (n - 1 below the line); None for n = 1.
        interval: 95 % t interval of the mean; None for n = 1, and where all values are equal: the
            formula's interval of no width would claim what no sample can know.
    """

    n: int
    mean: float
    sd: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class PairedT(Summary):
    """Student's paired t test of a mean difference of 0, two-sided.

    Attributes:
        t: mean / (sd / sqrt(n)), n - 1 degrees of freedom.
        p: two-sided. Both are None for n = 1 and where all differences are equal. There t is
            infinite or 0/0, and p = 0 would be a claim about a spread that was never seen: equal
            differences come from seeds that change nothing, from a coarse metric, or from luck.
    """

    t: float | None
    p: float | None


@dataclass(frozen=True)
class SignFlip:
    """Exact sign-flip test of differences that are symmetric about 0, two-sided.

    Attributes:
        p: share of the 2^n ways to set signs whose absolute sum is as large as the one seen, that
            one included; None for more than 20 differences.
        floor: the least that p can be, 2 / 2^n: 0.0625 for five seeds.
    """

    p: float | None
    floor: float


@dataclass(frozen=True)
class Pairing:
    """What arms have in common.

    Attributes:
        seeds: those that all arms have, ascending, numbers first.
        values: by arm, in the order of `seeds`.
        left_out: by seed that only some arms have, the arms that lack it.
    """

    seeds: list[Seed]
    values: dict[str, list[float]]
    left_out: dict[Seed, list[str]]


def pair(values: Mapping[str, Mapping[Seed, float | None]], arms: Iterable[str]) -> Pairing:
    """The seeds that all `arms` have; None, NaN and infinite values are not there.

    Args:
        values: the metric by arm and seed; an arm may be absent.
        arms: which of them to pair.
    """
    there = {
        arm: {
            seed: value
            for seed, value in values.get(arm, {}).items()
            if value is not None and math.isfinite(value)
        }
        for arm in arms
    }
    known = {seed for arm in there for seed in values.get(arm, {})}
    every = sorted(known, key=lambda seed: (isinstance(seed, str), seed))
    lacking = {seed: [arm for arm in there if seed not in there[arm]] for seed in every}
    seeds = [seed for seed in every if not lacking[seed]]
    return Pairing(
        seeds,
        {arm: [by_seed[seed] for seed in seeds] for arm, by_seed in there.items()},
        {seed: missing for seed, missing in lacking.items() if missing},
    )


def summary(values: Sequence[float]) -> Summary:
    """Mean, spread and 95 % t interval of at least one finite value.

    Raises:
        ValueError: no value.
    """
    n = len(values)
    if n == 0:
        raise ValueError("no value to summarise")
    mean, most = math.fsum(values) / n, max(abs(value) for value in values)
    if abs(mean) <= _ROUNDING * most:
        mean = 0.0
    if n == 1:
        return Summary(n, mean, None, None)
    sd = math.hypot(*(value - mean for value in values)) / math.sqrt(n - 1)
    if sd <= _ROUNDING * most:
        return Summary(n, mean, 0.0, None)
    half = _t_quantile((1 + CONFIDENCE) / 2, n - 1) * sd / math.sqrt(n)
    return Summary(n, mean, sd, (mean - half, mean + half))


def paired_t(differences: Sequence[float]) -> PairedT:
    """Student's paired t test of `differences`, one a seed (Student 1908).

    Raises:
        ValueError: no difference.
    """
    from scipy.special import stdtr

    own = summary(differences)
    if not own.sd:
        return PairedT(own.n, own.mean, own.sd, None, None, None)
    t = own.mean / (own.sd / math.sqrt(own.n))
    p = 2 * float(stdtr(own.n - 1, -abs(t)))
    return PairedT(own.n, own.mean, own.sd, own.interval, t, p)


def sign_flip(differences: Sequence[float]) -> SignFlip:
    """Fisher's randomisation test of paired differences (Fisher 1935, section 21), enumerated.

    Raises:
        ValueError: no difference.
    """
    import numpy as np

    n = len(differences)
    if n == 0:
        raise ValueError("no difference to flip")
    floor = 2.0 / 2.0**n
    if n > MOST_FLIPPED:
        return SignFlip(None, floor)
    # One sign stays: turning all signs leaves the absolute sum as it is.
    sums = np.array([float(differences[0])])
    for difference in differences[1:]:
        sums = np.concatenate([sums + difference, sums - difference])
    # Sums that are equal on paper differ in their last digits.
    slack = _ROUNDING * math.fsum(abs(difference) for difference in differences)
    as_large = np.abs(sums) >= abs(math.fsum(differences)) - slack
    return SignFlip(float(as_large.mean()), floor)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjust each p for the family of `p_values` (Holm 1979), in their order.

    A test without p stays without, and counts as one of the family: it was asked.
    """
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(_ascending(p_values)):
        p = p_values[index]
        if p is not None:
            largest = max(largest, min(1.0, p * (len(p_values) - rank)))
            adjusted[index] = largest
    return adjusted


def holm_levels(p_values: Sequence[float | None]) -> list[float]:
    """The level that each p has to be below in Holm's procedure at 0.05.

    alpha / m for the smallest, alpha / (m - 1) for the second ...; all that come after the first
    one which fails are held against the level of that one. So p is below its level exactly where
    `holm` is below 0.05.
    """
    family = len(p_values)
    levels = [0.0] * family
    passed = 0
    failed = False
    for index in _ascending(p_values):
        level = ALPHA / (family - passed)
        levels[index] = level
        p = p_values[index]
        failed = failed or p is None or p >= level
        passed += not failed
    return levels


def power(effect: float, n: int, alpha: float) -> float:
    """The chance that a two-sided paired t test of `n` differences is significant at `alpha`.

    Args:
        effect: true mean difference / true standard deviation of the differences.
        n: differences, at least 2.
        alpha: significance level.
    """
    from scipy.stats import nct

    critical = _t_quantile(1 - alpha / 2, n - 1)
    centre = abs(effect) * math.sqrt(n)
    # The other tail, significant with the wrong sign, counts, too: at effect 0 power is alpha.
    # It is P(T < -critical) turned round: nct.cdf gives NaN far out in its lower tail.
    return float(nct.sf(critical, n - 1, centre) + nct.sf(critical, n - 1, -centre))


def seeds_to_resolve(mean: float, sd: float, alpha: float) -> int | None:
    """The fewest seeds with which a true difference `mean` is significant 8 times in 10.

    None where `mean` is 0 or more than 10,000 would be needed.

    Args:
        mean: of the differences.
        sd: of the differences, above 0.
        alpha: significance level.
    """
    if mean == 0:
        return None
    effect = mean / sd
    enough = 2
    while power(effect, enough, alpha) < POWER:
        if enough > MOST_SEEDS:
            return None
        enough *= 2
    too_few = enough // 2
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        if power(effect, middle, alpha) < POWER:
            too_few = middle
        else:
            enough = middle
    return enough if enough <= MOST_SEEDS else None


def detectable(sd: float, n: int, alpha: float) -> float:
    """The true difference that `n` seeds would find significant 8 times in 10, in the unit of `sd`.

    Args:
        sd: of the differences.
        n: differences, at least 2.
        alpha: significance level.
    """
    from scipy.optimize import brentq

    most = 1.0
    while power(most, n, alpha) < POWER:
        most *= 2
    return sd * float(brentq(lambda effect: power(effect, n, alpha) - POWER, 0.0, most))


def _t_quantile(probability: float, degrees: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(degrees, probability))


def _ascending(p_values: Sequence[float | None]) -> list[int]:
    """Indices from the smallest p to the largest, those without p last; equal ones in order."""
    return sorted(range(len(p_values)), key=lambda i: math.inf if (p := p_values[i]) is None else p)

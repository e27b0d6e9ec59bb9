"""The promises of the statistics, on data whose truth is known. Each count must lie within four
binomial standard deviations of what is promised, and each has a control that does not."""

import math

import numpy as np
import pytest

from cnnlab.tracking.statistics import holm, paired_t, power, seeds_to_resolve, summary

TRIALS = 10_000


def near(count: int, promised: float, trials: int = TRIALS) -> bool:
    deviation = math.sqrt(promised * (1 - promised) / trials)
    return abs(count / trials - promised) < 4 * deviation


@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_95_of_100_intervals_hold_the_mean(n: int):
    samples = np.random.default_rng(n).normal(0.7, 0.02, (TRIALS, n))
    intervals = [summary(row).interval for row in samples.tolist()]
    assert near(sum(low <= 0.7 <= high for low, high in intervals), 0.95)
    # The control: the interval that takes 1.96 for t, as many figures do.
    half = 1.96 * samples.std(1, ddof=1) / math.sqrt(n)
    assert not near((abs(samples.mean(1) - 0.7) <= half).sum(), 0.95)


def pairs(rng: np.random.Generator, trials: int, n: int, arms: int) -> np.ndarray:
    """(trials, arms, n) without any effect: each seed shifts all arms alike, arms add noise."""
    return rng.normal(0.7, 0.03, (trials, 1, n)) + rng.normal(0, 0.01, (trials, arms, n))


@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_5_of_100_paired_tests_of_nothing_are_significant(n: int):
    values = pairs(np.random.default_rng(100 + n), TRIALS, n, 2)
    p = [paired_t(row).p for row in (values[:, 1] - values[:, 0]).tolist()]
    assert near(sum(value < 0.05 for value in p), 0.05)
    assert near(sum(value < 0.01 for value in p), 0.01)


def family(values: np.ndarray) -> list[list[float]]:
    """p of each later arm against the first, by trial."""
    differences = (values[:, 1:] - values[:, :1]).tolist()
    return [[paired_t(row).p for row in trial] for trial in differences]


def test_holm_errs_in_5_of_100_families_of_independent_tests():
    trials, m = 4000, 5
    noise = np.random.default_rng(1).normal(size=(trials, m, 5)).tolist()
    p = [[paired_t(row).p for row in trial] for trial in noise]
    exact = 1 - (1 - 0.05 / m) ** m
    assert near(sum(min(holm(trial)) < 0.05 for trial in p), exact, trials)
    assert not near(sum(min(trial) < 0.05 for trial in p), exact, trials)


def test_holm_errs_in_at_most_5_of_100_families_where_some_effects_are_there():
    trials = 4000
    values = pairs(np.random.default_rng(2), trials, 5, 5)
    values[:, 1:3] += 0.05  # so large that they are nearly always found: these p drop out of Holm
    adjusted = [holm(trial) for trial in family(values)]
    wrong = sum(min(trial[2:]) < 0.05 for trial in adjusted)
    found = sum(max(trial[:2]) < 0.05 for trial in adjusted)
    limit = 0.05 + 4 * math.sqrt(0.05 * 0.95 / trials)
    assert wrong / trials < limit
    assert found / trials > 0.9
    uncorrected = sum(min(trial[2:]) < 0.05 for trial in family(values))
    assert uncorrected / trials > limit


@pytest.mark.parametrize(("effect", "alpha"), [(1.0, 0.05), (0.6, 0.05), (1.2, 0.0125)])
def test_with_the_seeds_that_resolve_8_of_10_studies_do(effect: float, alpha: float):
    n = seeds_to_resolve(effect, 1.0, alpha)
    rng = np.random.default_rng(n)
    for seeds, enough in ((n, True), (n - 1, False)):
        promised = power(effect, seeds, alpha)
        assert (promised >= 0.8) == enough
        studies = rng.normal(effect, 1, (TRIALS, seeds)).tolist()
        found = sum(paired_t(study).p < alpha for study in studies)
        assert near(found, promised)
    assert not near(found, power(effect, n - 3, alpha))

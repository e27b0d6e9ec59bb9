import itertools
import math

import numpy as np
import pytest
import scipy.stats

from cnnlab.tracking.rank_trend import spearman, trend_p


@pytest.mark.parametrize(
    ("numbers", "metric"),
    [
        ([1, 2, 4, 8, 32], [0.70, 0.72, 0.71, 0.73, 0.75]),
        ([3, 1, 2], [1.0, 3.0, 2.0]),
        ([1, 1, 2, 3], [0.5, 0.5, 0.4, 0.5]),  # ties on both sides
    ],
)
def test_spearman_is_scipys(numbers: list[float], metric: list[float]):
    assert spearman(numbers, metric) == pytest.approx(scipy.stats.spearmanr(numbers, metric)[0])


def test_equal_metrics_have_no_order():
    assert spearman([1, 2, 3], [0.5, 0.5, 0.5]) == 0
    assert trend_p([1, 2, 3], [0.5, 0.5, 0.5]) == 1


@pytest.mark.parametrize(
    ("numbers", "metric"),
    [
        ([1, 2, 4, 8], [0.1, 0.3, 0.2, 0.4]),
        ([1, 2, 4, 8, 16], [0.5, 0.4, 0.3, 0.1, 0.2]),
        ([1, 1, 2, 3, 3], [0.2, 0.2, 0.3, 0.3, 0.4]),  # ties on both sides
    ],
)
def test_it_is_the_count_over_all_orders(numbers: list[float], metric: list[float]):
    seen = abs(scipy.stats.spearmanr(numbers, metric)[0])
    others = [scipy.stats.spearmanr(numbers, o)[0] for o in itertools.permutations(metric)]
    share = np.mean(np.abs(others) >= seen - 1e-12)
    assert trend_p(numbers, metric) == pytest.approx(share)


def test_the_least_that_it_can_be():
    for n in (3, 5, 8):
        assert trend_p(range(n), range(n)) == pytest.approx(2 / math.factorial(n))


def test_beyond_what_is_counted_it_is_scipys():
    rng = np.random.default_rng(3)
    metric = rng.normal(0, 1, 11) + 0.3 * np.arange(11)
    oracle = scipy.stats.spearmanr(range(11), metric).pvalue
    assert trend_p(range(11), metric.tolist()) == pytest.approx(oracle)
    assert trend_p(range(11), range(11)) == 0
    ten = metric[:10].tolist()
    near = scipy.stats.spearmanr(range(10), ten).pvalue
    assert trend_p(range(10), ten) == pytest.approx(near, abs=0.01)


def test_seeds_that_measure_the_same_nets_again_find_no_more_of_nothing():
    """Ten nets whose latency has nothing to do with the number, measured five times."""
    trials, nets, seeds = 1500, 10, 5
    rng = np.random.default_rng(7)
    latency = np.exp(rng.normal(0, 1, (trials, 1, nets)))
    measured = latency * (1 + rng.normal(0, 0.02, (trials, seeds, nets)))
    ours = np.mean([trend_p(range(nets), m) < 0.05 for m in measured.mean(1).tolist()])
    assert ours < 0.05 + 4 * math.sqrt(0.05 * 0.95 / trials)
    page = [scipy.stats.page_trend_test(m, method="asymptotic").pvalue for m in measured]
    assert np.mean(2 * np.minimum(page, 1 - np.array(page)) < 0.05) > 0.3  # docs/statistics.md

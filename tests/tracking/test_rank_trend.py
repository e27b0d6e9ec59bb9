import itertools
import math

import numpy as np
import pytest
import scipy.stats

from cnnlab.tracking.rank_trend import seeds_for_trend, spearman, trend_p
from cnnlab.tracking.statistics import paired_t


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
    assert trend_p([1, 2, 3], [[0.5, 0.5, 0.5]]) == 1


@pytest.mark.parametrize(("arms", "seeds"), [(3, 2), (3, 5), (4, 3), (5, 4), (6, 2)])
def test_without_ties_it_is_scipys_page_test(arms: int, seeds: int):
    rng = np.random.default_rng(arms)
    metric = rng.normal(0, 1, (seeds, arms)) + 0.5 * np.arange(arms)
    oracle = scipy.stats.page_trend_test(metric, method="exact")
    assert trend_p(list(range(arms)), metric.tolist()) == pytest.approx(min(1, 2 * oracle.pvalue))


def test_one_seed_is_the_permutation_test_of_its_correlation():
    numbers, metric = [1, 2, 4, 8], [0.1, 0.3, 0.2, 0.4]
    seen = abs(spearman(numbers, metric))
    all_orders = [abs(spearman(numbers, order)) for order in itertools.permutations(metric)]
    share = np.mean([other >= seen - 1e-12 for other in all_orders])
    assert trend_p(numbers, [metric]) == pytest.approx(share)
    assert trend_p(numbers, [sorted(metric)]) == pytest.approx(2 / math.factorial(4))


def test_with_ties_it_is_the_count_over_all_orders_of_all_seeds():
    numbers = [1, 1, 2, 3]
    seeds = [[0.2, 0.2, 0.3, 0.3], [0.1, 0.2, 0.2, 0.4]]
    ranks = [scipy.stats.rankdata(seed) - 2.5 for seed in seeds]
    x = scipy.stats.rankdata(numbers) - 2.5
    sums = [
        abs(sum(x @ np.array(y) for y in orders))
        for orders in itertools.product(*(itertools.permutations(y) for y in ranks))
    ]
    seen = abs(sum(x @ y for y in ranks))
    assert trend_p(numbers, seeds) == pytest.approx(np.mean([s >= seen - 1e-9 for s in sums]))


def test_beyond_what_is_counted_it_is_close_to_the_normal_test():
    rng = np.random.default_rng(3)
    metric = rng.normal(0, 1, (4, 11)) + 0.05 * np.arange(11)
    oracle = scipy.stats.page_trend_test(metric, method="asymptotic")
    assert trend_p(list(range(11)), metric.tolist()) == pytest.approx(2 * oracle.pvalue, rel=1e-6)
    ten = rng.normal(0, 1, (20, 10)) + 0.03 * np.arange(10)
    exact = trend_p(list(range(10)), ten.tolist())
    normal = 2 * scipy.stats.page_trend_test(ten, method="asymptotic").pvalue
    assert exact == pytest.approx(normal, rel=0.05)


def test_of_nothing_at_most_5_of_100_are_significant_where_a_t_test_finds_more():
    trials, seeds, arms = 4000, 4, 3
    metric = np.random.default_rng(5).normal(0, 1, (trials, seeds, arms))
    exact = sum(trend_p(range(arms), trial) < 0.05 for trial in metric.tolist())
    limit = 0.05 + 4 * math.sqrt(0.05 * 0.95 / trials)
    assert exact / trials == pytest.approx(0.014, abs=0.0005)  # docs/statistics.md says so
    assert exact / trials < limit
    rho = [[spearman(range(arms), seed) for seed in trial] for trial in metric.tolist()]
    student = [paired_t(trial).p for trial in rho]
    found = sum(p is not None and p < 0.05 for p in student) / trials
    assert found == pytest.approx(0.108, abs=0.0006)  # there, too
    assert found > limit


def test_seeds_for_trend_find_it_about_8_times_in_10():
    rng = np.random.default_rng(6)
    arms, lift = 5, 0.3
    many = rng.normal(0, 1, (2000, arms)) + lift * np.arange(arms)
    rho = [spearman(range(arms), seed) for seed in many.tolist()]
    n = seeds_for_trend(np.mean(rho), np.std(rho), arms, 0.05, 0.8)
    assert 3 < n < 15
    studies = rng.normal(0, 1, (1000, n, arms)) + lift * np.arange(arms)
    found = np.mean([trend_p(range(arms), study) < 0.05 for study in studies.tolist()])
    assert 0.75 < found < 0.92
    assert seeds_for_trend(0.0, 0.5, arms, 0.05, 0.8) is None

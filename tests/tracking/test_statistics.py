import math

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from cnnlab.tracking.statistics import (
    detectable,
    holm,
    holm_levels,
    pair,
    paired_t,
    power,
    seeds_to_resolve,
    sign_flip,
    summary,
)

# Student 1908: hours of sleep gained under two drugs, ten patients. R's `t.test(paired = TRUE)`
# on its data set `sleep` prints the figures below.
FIRST = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SECOND = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
SLEEP = [b - a for a, b in zip(FIRST, SECOND, strict=True)]

# Darwin's maize, crossed less self-fertilised, in eighths of an inch (Fisher 1935, section 17).
MAIZE = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]


def test_students_sleep():
    test = paired_t(SLEEP)
    assert test.n == 10
    assert test.mean == pytest.approx(1.58)
    assert test.t == pytest.approx(4.0621, abs=5e-5)
    assert test.p == pytest.approx(0.002833, abs=5e-7)
    assert test.interval == pytest.approx((0.7001142, 2.4598858), abs=5e-8)


@pytest.mark.parametrize("n", [2, 3, 5, 30])
def test_paired_t_is_scipys(n: int):
    rng = np.random.default_rng(n)
    ours, theirs = rng.normal(0.78, 0.01, n), rng.normal(0.775, 0.01, n)
    oracle = scipy.stats.ttest_rel(ours, theirs)
    test = paired_t(list(ours - theirs))
    assert (test.t, test.p) == pytest.approx((oracle.statistic, oracle.pvalue), rel=1e-9)
    assert test.interval == pytest.approx(tuple(oracle.confidence_interval(0.95)), rel=1e-9)
    assert test.sd == pytest.approx(np.std(ours - theirs, ddof=1))


def test_summary_is_scipys():
    values = [0.91, 0.905, 0.917, 0.9]
    own = summary(values)
    oracle = scipy.stats.t.interval(
        0.95, 3, loc=np.mean(values), scale=scipy.stats.sem(values, ddof=1)
    )
    assert own.interval == pytest.approx(oracle)
    assert (own.n, own.mean, own.sd) == pytest.approx((4, np.mean(values), np.std(values, ddof=1)))


def test_one_value_has_no_spread():
    own = summary([0.5])
    assert (own.n, own.mean, own.sd, own.interval) == (1, 0.5, None, None)
    test = paired_t([0.5])
    assert (test.t, test.p) == (None, None)


def test_no_value_is_an_error():
    for statistic in (summary, paired_t, sign_flip):
        with pytest.raises(ValueError, match="no "):
            statistic([])


@pytest.mark.parametrize(
    "equal",
    [
        [0.0, 0.0, 0.0],
        [0.25, 0.25],
        [0.3 - 0.2, 0.2 - 0.1, 0.1, 0.4 - 0.3],  # equal on paper, not in their last digits
    ],
)
def test_equal_differences_have_no_p(equal: list[float]):
    test = paired_t(equal)
    assert (test.sd, test.interval, test.t, test.p) == (0.0, None, None, None)


def test_a_small_spread_is_a_spread():
    assert paired_t([0.5, 0.5 + 1e-9]).p is not None


def test_fishers_maize():
    # Fisher 1935, section 21: 863 of the 2^15 sums are as large or larger on either side.
    flips = sign_flip(MAIZE)
    assert flips.p == 2 * 863 / 2**15
    assert flips.floor == 2 / 2**15
    assert paired_t(MAIZE).t == pytest.approx(2.148, abs=5e-4)


@pytest.mark.parametrize("n", [1, 2, 5, 9])
def test_sign_flip_is_scipys(n: int):
    rng = np.random.default_rng(n)
    differences = rng.normal(0.3, 1, n)

    def mean(x: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
        return np.mean(x - y, axis=axis)

    if n == 1:
        expected = 1.0  # scipy wants two
    else:
        expected = scipy.stats.permutation_test(
            (differences, np.zeros(n)), mean, permutation_type="samples", n_resamples=np.inf
        ).pvalue
    assert sign_flip(list(differences)).p == pytest.approx(expected)


def test_sign_flip_counts_equal_sums_whatever_their_last_digits():
    whole = [1, 2, 3, 1, 2, 3, -1, -2]
    assert sign_flip([0.1 * d for d in whole]).p == sign_flip(whole).p


def test_sign_flip_ends_at_its_floor_and_at_20():
    for n in (1, 2, 5, 20):
        flips = sign_flip([0.1 + i for i in range(n)])
        assert flips.p == flips.floor == 2 / 2**n
    assert sign_flip([1.0] * 21).p is None
    assert sign_flip([0.0, 0.0, 0.0]).p == 1.0


@pytest.mark.parametrize("m", [1, 3, 8])
def test_holm_is_statsmodels(m: int):
    rng = np.random.default_rng(m)
    for _ in range(2):  # multipletests takes its time
        p = list(rng.choice([1, 0.1, 0.02], m) * np.round(rng.uniform(0, 1, m), 2))
        oracle = multipletests(p, alpha=0.05, method="holm")[1]
        assert holm(p) == pytest.approx(list(oracle))


def test_a_contrast_without_p_counts_in_the_family():
    assert holm([0.01, None]) == [0.02, None]
    assert holm([None, 0.03, 0.01]) == pytest.approx([None, 0.06, 0.03])
    assert holm([]) == []


def test_holm_levels_by_hand():
    # Ascending: 0.001 < 0.05 / 4, 0.01 < 0.05 / 3, 0.04 >= 0.05 / 2: here Holm stops.
    assert holm_levels([0.04, 0.001, 0.045, 0.01]) == pytest.approx(
        [0.05 / 2, 0.05 / 4, 0.05 / 2, 0.05 / 3]
    )
    assert holm_levels([0.2]) == [0.05]
    assert holm_levels([None, 0.01]) == [0.05, 0.025]


def test_p_is_below_its_level_where_the_adjusted_one_is_below_5_percent():
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(500):
        p = list(rng.uniform(0, 1, 4) ** 4)
        for own, level, adjusted in zip(p, holm_levels(p), holm(p), strict=True):
            assert (own < level) == (adjusted < 0.05)
            seen.add(own < level)
    assert seen == {True, False}


def power_by_integral(effect: float, n: int, alpha: float) -> float:
    """T = (Z + effect sqrt(n)) / (chi / sqrt(df)), by its definition, over all chi."""
    df, centre = n - 1, effect * math.sqrt(n)
    critical = scipy.stats.t.isf(alpha / 2, df)

    def both_tails(spread: float) -> float:
        normal, chi = scipy.stats.norm, scipy.stats.chi
        tails = normal.sf(critical * spread - centre) + normal.cdf(-critical * spread - centre)
        return tails * chi.pdf(spread * math.sqrt(df), df) * math.sqrt(df)

    return sum(scipy.integrate.quad(both_tails, *ends)[0] for ends in ((0, 1), (1, 12)))


@pytest.mark.parametrize(
    ("effect", "n", "alpha"), [(13, 2, 0.05), (8, 3, 0.005), (4, 5, 0.005), (0.35, 400, 0.0025)]
)
def test_power_far_out(effect: float, n: int, alpha: float):
    # scipy's nct.cdf, and statsmodels by it, give NaN for some of these.
    assert power(effect, n, alpha) == pytest.approx(power_by_integral(effect, n, alpha), abs=1e-6)


@pytest.mark.parametrize("alpha", [0.05, 0.05 / 7])
@pytest.mark.parametrize("n", [2, 3, 5, 12, 200])
@pytest.mark.parametrize("effect", [0.0, 0.2, -0.8, 1.5])
def test_power_is_statsmodels(effect: float, n: int, alpha: float):
    oracle = TTestPower().power(effect, n, alpha, alternative="two-sided")
    assert power(effect, n, alpha) == pytest.approx(oracle, abs=1e-6)


def test_seeds_of_textbooks():
    # Paired, two-sided 5 %, power 80 %: G*Power 3.1 (and Cohen 1988) for d = 0.2, 0.5, 0.8.
    assert [seeds_to_resolve(d, 1.0, 0.05) for d in (0.2, 0.5, 0.8)] == [199, 34, 15]
    assert seeds_to_resolve(-0.5, 1.0, 0.05) == 34


@pytest.mark.parametrize("alpha", [0.05, 0.0125])
@pytest.mark.parametrize("effect", [0.15, 0.61, 1.3, 3.0])
def test_seeds_to_resolve_is_statsmodels(effect: float, alpha: float):
    oracle = TTestPower().solve_power(effect, alpha=alpha, power=0.8, alternative="two-sided")
    assert seeds_to_resolve(0.02 * effect, 0.02, alpha) == math.ceil(oracle)


def test_a_huge_effect_needs_two_seeds_and_a_tiny_one_has_no_number():
    assert seeds_to_resolve(1.0, 0.001, 0.05) == 2
    assert seeds_to_resolve(0.0, 1.0, 0.05) is None
    assert seeds_to_resolve(0.02, 1.0, 0.05) is None


@pytest.mark.parametrize("alpha", [0.05, 0.05 / 10])
@pytest.mark.parametrize("n", [2, 3, 5, 40])
def test_detectable_is_found_8_times_in_10(n: int, alpha: float):
    least = detectable(0.3, n, alpha)
    assert power_by_integral(least / 0.3, n, alpha) == pytest.approx(0.8, abs=1e-6)


def test_pairs_are_the_seeds_that_all_have():
    values = {
        "a": {3: 0.3, 1: 0.1, 2: 0.2, 5: 0.5, 6: None},
        "b": {1: 1.1, 2: math.nan, 3: 3.3, 4: 4.4, 5: 5.5, 6: 6.6},
        "c": {9: 1.0},
    }
    pairing = pair(values, ["b", "a"])
    assert pairing.seeds == [1, 3, 5]
    assert pairing.values == {"b": [1.1, 3.3, 5.5], "a": [0.1, 0.3, 0.5]}
    assert pairing.left_out == {2: ["b"], 4: ["a"], 6: ["a"]}


def test_an_arm_without_runs_leaves_no_seed():
    pairing = pair({"a": {1: 0.1}}, ["a", "b"])
    assert pairing.seeds == []
    assert pairing.left_out == {1: ["b"]}


def test_a_mean_that_is_rounding_is_nothing():
    assert summary([0.1, 0.2, -0.3]).mean == 0
    assert summary([1e-9, 1e-9]).mean == 1e-9


def test_large_values_have_a_spread():
    assert summary([1e200, -1e200]).sd == pytest.approx(math.sqrt(2) * 1e200)

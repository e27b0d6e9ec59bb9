import math
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import yaml
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from cnnlab.tracking.contrasts import Contrast, Verdict, evaluate, parse

ROOT = Path(__file__).parents[2]

SEEDS = [1, 2, 3, 4, 5]
TOP1 = {
    "g1": [0.8512, 0.8478, 0.8531, 0.8495, 0.8520],
    "g8": [0.8541, 0.8530, 0.8533, 0.8540, 0.8571],
    "g32": [0.8570, 0.8549, 0.8601, 0.8563, 0.8567],
}
VALUES = {arm: dict(zip(SEEDS, row, strict=True)) for arm, row in TOP1.items()}
BEST = Contrast("best", {"g32": 1, "g1": -1}, "positive")
MORE = Contrast("more", {"g32": 1, "g8": -1}, "positive")
SOME = Contrast("some", {"g8": 1, "g1": -1}, "negative")


def judge(contrasts: list[Contrast], values: Any = VALUES, **given: Any) -> list[Verdict]:
    settings = {"metric": "test/top1", "higher_is_better": True, "published": {}}
    return evaluate(contrasts, values, **(settings | given))


def test_a_family_is_that_of_scipy_and_statsmodels():
    verdicts = judge([MORE, BEST, SOME])
    oracles = [
        scipy.stats.ttest_rel(TOP1[a], TOP1[b])
        for a, b in (("g32", "g8"), ("g32", "g1"), ("g8", "g1"))
    ]
    adjusted = multipletests([oracle.pvalue for oracle in oracles], method="holm")[1]
    for verdict, oracle, p_holm in zip(verdicts, oracles, adjusted, strict=True):
        assert verdict.n == 5
        assert verdict.p == pytest.approx(oracle.pvalue, rel=1e-6)
        assert verdict.p_holm == pytest.approx(p_holm, rel=1e-6)
        assert verdict.interval == pytest.approx(tuple(oracle.confidence_interval()), rel=1e-6)
        assert verdict.sign_flip_floor == 0.0625
        assert verdict.sd is not None
    assert [verdict.estimate for verdict in verdicts] == pytest.approx(
        [
            np.mean(np.subtract(TOP1[a], TOP1[b]))
            for a, b in (("g32", "g8"), ("g32", "g1"), ("g8", "g1"))
        ]
    )
    assert [verdict.contrast for verdict in verdicts] == [MORE, BEST, SOME]
    assert verdicts[1].by_seed == pytest.approx(
        {1: 0.0058, 2: 0.0071, 3: 0.0070, 4: 0.0068, 5: 0.0047}
    )


def test_the_sign_decides_between_supported_and_contradicted():
    assert [v.outcome for v in judge([BEST])] == ["supported"]
    assert [v.outcome for v in judge([BEST.turned()])] == ["contradicted"]
    worse = Contrast("worse", {"g1": 1, "g32": -1}, "positive")
    assert [v.outcome for v in judge([worse])] == ["contradicted"]


def test_a_loss_is_judged_by_the_number_as_recorded():
    loss = {arm: {s: 1 - v for s, v in row.items()} for arm, row in VALUES.items()}
    given = {"metric": "test/loss", "higher_is_better": False}
    (verdict,) = judge([Contrast("lower", {"g32": 1, "g1": -1}, "negative")], loss, **given)
    assert verdict.outcome == "supported"
    assert verdict.estimate == pytest.approx(-0.00628)
    assert verdict.sentence.startswith("supported: g32 beats g1 by 0.00628 (95 % 0.0")


def test_significance_is_lost_to_a_family():
    values = {
        "a": dict(zip(SEEDS, [0.0, 0.0, 0.0, 0.0, 0.0], strict=True)),
        "b": dict(zip(SEEDS, [0.9, 0.4, 1.0, 0.2, 0.3], strict=True)),
        "c": dict(zip(SEEDS, [0.1, -0.2, 0.3, -0.3, 0.2], strict=True)),
    }
    ab = Contrast("ab", {"b": 1, "a": -1}, "positive")
    ac = Contrast("ac", {"c": 1, "a": -1}, "positive")
    assert judge([ab], values)[0].outcome == "supported"
    one, two = judge([ab, ac], values)
    assert 0.025 < one.p < 0.05
    assert (one.outcome, two.outcome) == ("not resolved", "not resolved")
    # Holm stopped at 0.05 / 2: both are planned at that level.
    for verdict in (one, two):
        d = verdict.estimate / verdict.sd
        oracle = TTestPower().solve_power(d, alpha=0.025, power=0.8, alternative="two-sided")
        assert verdict.n_to_resolve == math.ceil(oracle) > 5
        assert TTestPower().power(verdict.detectable / verdict.sd, 5, 0.025) == pytest.approx(0.8)
    assert two.n_to_resolve > judge([ac], values)[0].n_to_resolve


def test_seeds_that_an_arm_lacks_are_left_out_and_named():
    values = {
        "g1": VALUES["g1"] | {6: 0.85},
        "g32": {s: v for s, v in VALUES["g32"].items() if s != 2} | {4: math.nan},
    }
    (verdict,) = judge([BEST], values)
    assert verdict.n == 3
    assert verdict.by_seed.keys() == {1, 3, 5}
    assert verdict.left_out == {2: ["g32"], 4: ["g32"], 6: ["g32"]}
    assert verdict.sentence.endswith(
        "; left out, as arms lack them: seed 2 (g32), seed 4 (g32), seed 6 (g32)"
    )


def test_one_seed_and_none():
    one = {arm: {1: row[1]} for arm, row in VALUES.items()}
    (verdict,) = judge([BEST], one)
    assert (verdict.n, verdict.interval, verdict.p, verdict.p_holm) == (1, None, None, None)
    assert (verdict.sign_flip_p, verdict.outcome) == (1.0, "not resolved")
    assert verdict.sentence == (
        "not resolved: g32 is ahead of g1 by 0.58 points (n = 1); "
        "one seed shows no spread: two or more are needed"
    )
    (verdict,) = judge([BEST], {"g1": VALUES["g1"]})
    assert (verdict.n, verdict.estimate, verdict.sign_flip_p) == (0, None, None)
    assert verdict.sentence.startswith("not resolved: no seed has a value of each of g32, g1; left")


def test_equal_differences_resolve_nothing():
    shifted = {"g1": VALUES["g1"], "g32": {s: v + 0.005 for s, v in VALUES["g1"].items()}}
    (verdict,) = judge([BEST], shifted)
    assert (verdict.p, verdict.interval, verdict.n_to_resolve) == (None, None, None)
    assert verdict.outcome == "not resolved"
    assert "all 5 seeds agree to the last digit: no spread to test against" in verdict.sentence
    (nothing,) = judge([BEST], {"g1": VALUES["g1"], "g32": VALUES["g1"]})
    assert (nothing.estimate, nothing.p) == (0.0, None)
    assert "g32 and g1 are equal in the mean" in nothing.sentence


def test_terms_that_cancel_leave_nothing_of_their_rounding():
    contrast = Contrast("c", {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3, "d": -1}, "positive")
    assert contrast.of(dict.fromkeys("abcd", 0.7)) == 0.0


def test_weights_that_add_up_to_nearly_nothing_leave_nothing_either():
    third = 0.3333333333
    weights = {"a": third, "b": third, "c": third, "d": -1.0}
    contrast = Contrast("c", weights, "positive")
    equal = {arm: {seed: 0.5 + 0.01 * seed for seed in range(5)} for arm in weights}
    (verdict,) = judge([contrast], equal)
    assert (verdict.estimate, verdict.p, verdict.outcome) == (0.0, None, "not resolved")


@pytest.mark.parametrize("file", sorted((ROOT / "conf" / "ablation").glob("*.yaml")))
def test_no_claim_of_the_decks_finds_anything_among_equal_arms(file):
    node = yaml.safe_load(file.read_text()).get("ablation") or {}
    scales = [s for s in (node.get("scales") or {}).values() if isinstance(s, dict)]
    for part in [node, *scales]:
        arms = part.get("arms") or node.get("arms") or {}
        contrasts = [parse(c, list(map(str, arms)), "x") for c in part.get("contrasts") or []]
        equal = {str(arm): {seed: 0.5 + 0.017 * seed for seed in range(5)} for arm in arms}
        for verdict in judge(contrasts, equal):
            assert verdict.estimate == 0
            assert verdict.outcome == "not resolved"


def test_a_rank_is_the_permutation_test_of_the_means():
    contrast = Contrast("r", {"g1": 1, "g8": 8, "g32": 32}, "positive", rank=True)
    (verdict,) = judge([contrast])
    arms = ("g1", "g8", "g32")
    rho = [scipy.stats.spearmanr([1, 8, 32], [VALUES[a][s] for a in arms])[0] for s in SEEDS]
    assert list(verdict.by_seed.values()) == pytest.approx(rho)
    means = [np.mean(TOP1[arm]) for arm in arms]
    assert verdict.estimate == pytest.approx(scipy.stats.spearmanr([1, 8, 32], means)[0])
    # Three arms have six orders, however many seeds.
    assert verdict.p == pytest.approx(2 / 6)
    assert (verdict.outcome, verdict.interval) == ("not resolved", None)
    assert (verdict.n_to_resolve, verdict.sign_flip_p) == (None, None)
    assert "more arms could resolve it" in verdict.sentence


def test_the_published_effect_stands_beside():
    verdicts = judge([BEST, MORE], published={"best": 0.017, "more": None})
    assert [verdict.published for verdict in verdicts] == [0.017, None]


def test_a_contrast_comes_back_from_json():
    contrast = Contrast("r", {"g1": 1, "g8": 8}, "positive", rank=True)
    assert Contrast(**asdict(contrast)) == contrast


def test_reading_contrasts_does_not_wait_for_numpy_and_scipy():
    code = "import sys, cnnlab.tracking.published; print({'numpy', 'scipy'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"

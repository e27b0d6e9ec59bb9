from dataclasses import replace
from typing import Any

import pytest

from cnnlab.tracking.contrasts import Contrast, Verdict
from cnnlab.tracking.verdict_sentence import is_share, sentence

PAIR = Contrast("x", {"g32": 1, "g1": -1}, "positive")
SUPPORTED = Verdict(
    contrast=PAIR,
    n=5,
    estimate=0.0061,
    interval=(0.0022, 0.01),
    p=0.0055,
    p_holm=0.011,
    sign_flip_p=0.0625,
    sign_flip_floor=0.0625,
    published=None,
    outcome="supported",
    n_to_resolve=None,
    sentence="",
    sd=0.003,
    detectable=0.006,
)


def say(metric: str = "test/top1", higher: bool | None = True, family: int = 3, **facts: Any):
    return sentence(replace(SUPPORTED, **facts), metric, higher, family=family)


def test_supported():
    assert say() == (
        "supported: g32 beats g1 by 0.61 points "
        "(95 % 0.22 to 1.00, n = 5, p = 0.011 after Holm; sign-flip 0.0625, at its floor)"
    )


def test_contradicted_turns_the_interval_with_the_words():
    assert say(outcome="contradicted", estimate=-0.0061, interval=(-0.01, -0.0022)) == (
        "contradicted: g32 is worse than g1 by 0.61 points "
        "(95 % 0.22 to 1.00, n = 5, p = 0.011 after Holm; sign-flip 0.0625, at its floor)"
    )


def test_not_resolved_says_what_would_resolve_it():
    facts = {
        "outcome": "not resolved",
        "estimate": -0.002,
        "interval": (-0.007, 0.003),
        "p_holm": 0.34,
        "sign_flip_p": 0.375,
        "n_to_resolve": 28,
    }
    assert say(family=1, **facts) == (
        "not resolved: g32 is behind g1 by 0.20 points "
        "(95 % -0.30 to 0.70, n = 5, p = 0.34; sign-flip 0.375, floor 0.0625); "
        "about 28 seeds would resolve an effect of this size; 5 seeds can detect 0.60 points"
    )
    assert "; 10,000 seeds would not resolve" in say(**(facts | {"n_to_resolve": None}))


def test_an_interval_clear_of_zero_is_of_its_contrast_alone():
    """p = 0.03 of one contrast of three is 0.09 after Holm: no verdict beside such an interval."""
    facts = {"outcome": "not resolved", "p": 0.03, "p_holm": 0.09, "n_to_resolve": 9}
    said = "; the interval excludes 0, but is not corrected for 3 contrasts as p is; about 9 seeds"
    assert said in say(**facts)
    assert said in say(interval=(-0.01, -0.0022), estimate=-0.0061, **facts)
    assert "excludes 0" not in say(interval=(-0.001, 0.01), **facts)
    assert "excludes 0" not in say()  # resolved


def test_a_loss_has_no_points_and_less_is_better():
    words = say("val/loss", False, estimate=-0.123, interval=(-0.2, -0.046), p_holm=0.0001)
    assert words == (
        "supported: g32 beats g1 by 0.123 "
        "(95 % 0.046 to 0.2, n = 5, p < 0.001 after Holm; sign-flip 0.0625, at its floor)"
    )


def test_where_neither_is_better_it_is_above_or_below():
    assert "g32 is above g1 by 0.0061 (95 % 0.0022" in say("cost/latency_ms", None)
    turned = say("cost/latency_ms", None, estimate=-0.0061, interval=(-0.01, -0.0022))
    assert "g32 is below g1 by 0.0061 (95 % 0.0022" in turned


SLOPE = {"a": -0.5, "b": 0.0, "c": 0.5}
TWO_BY_TWO = {"a": 1, "b": -1, "c": -1, "d": 1}


@pytest.mark.parametrize(
    ("weights", "estimate", "words"),
    [
        (SLOPE, 0.004, "the metric improves by 0.40 points a step over a, b, c"),
        (SLOPE, -0.004, "the metric worsens by 0.40 points a step over a, b, c"),
        (TWO_BY_TWO, 0.004, "a - b lies 0.40 points above c - d"),
        (TWO_BY_TWO, -0.004, "a - b lies 0.40 points below c - d"),
        ({"a": -1, "b": 0.5, "c": 0.5}, -0.004, "the mean of b, c is worse than a by 0.40 points"),
        ({"a": 1, "b": -2, "c": 1}, 0.00001, "a - 2 b + c is 0.001 points"),
    ],
)  # fmt: skip
def test_other_contrasts(weights: dict[str, float], estimate: float, words: str):
    contrast = Contrast("x", weights, "positive")
    assert f"supported: {words} (95 %" in say(contrast=contrast, estimate=estimate)


def test_a_slope_that_is_not_resolved_improves_nothing():
    facts = {"contrast": Contrast("x", SLOPE, "positive"), "estimate": -0.004}
    words = say(outcome="not resolved", **facts)
    assert words.startswith("not resolved: the metric is 0.40 points worse a step over a, b, c (95")
    words = say("cost/latency_ms", None, **facts)
    assert words.startswith("supported: the metric is 0.004 lower a step over a, b, c (95")


def test_a_rank_correlation_has_no_unit():
    contrast = Contrast("x", {"a": 1, "b": 2, "c": 3}, "positive", rank=True)
    facts = {"contrast": contrast, "estimate": 0.9, "interval": None, "n": 21}
    assert say(sign_flip_p=None, sign_flip_floor=None, **facts) == (
        "supported: Spearman's correlation over 3 arms is 0.90 (n = 21, p = 0.011 after Holm)"
    )


def test_shares_are_known_by_their_last_word():
    assert is_share("test/top1")
    assert is_share("val/miou")
    assert not is_share("val/loss")
    assert not is_share("cost/gmacs")


def test_means_of_arms_are_held_against_one_another():
    third = 0.3333333333
    weights = {"a": third, "b": third, "c": third, "d": -0.5, "e": -0.5}
    words = say(contrast=Contrast("x", weights, "positive"), estimate=0.02)
    assert words.startswith("supported: the mean of a, b, c beats the mean of d, e by 2.00 points")
    weights = {"a": 1.0, "d": -0.25, "e": -0.75}  # no mean
    words = say(contrast=Contrast("x", weights, "positive"), estimate=0.02)
    assert words.startswith("supported: a - 0.25 d - 0.75 e is 2.00 points")

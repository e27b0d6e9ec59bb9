"""A verdict in one plain sentence."""

import math
from typing import TYPE_CHECKING

from cnnlab.tracking.contrast_nodes import slope_weights

if TYPE_CHECKING:
    from cnnlab.tracking.contrasts import Contrast, Verdict

_CLASSIFICATION = ("top1", "top5", "macro", "ece", "average_precision", "f1", "f1_macro")
_DENSE = ("miou", "micro_iou", "dice", "pixel_accuracy", "boundary_f1")
_BOXES = ("map", "map50", "map75", "map_small", "map_medium", "map_large")
SHARES = frozenset((*_CLASSIFICATION, "exact_match", *_DENSE, *_BOXES))
"""Last words of keys whose values are shares of 1; differences are printed as points of 100."""


def is_share(metric: str) -> bool:
    """Whether `metric`, such as `test/top1`, lies between 0 and 1 and is spoken of in percent."""
    return metric.rpartition("/")[2] in SHARES


def sentence(verdict: "Verdict", metric: str, higher_is_better: bool | None, *, family: int) -> str:
    """Such as `supported: g32 beats g1 by 0.61 points (95 % 0.22 to 1.00, n = 5, p = 0.011 ...)`.

    Args:
        verdict: all but its sentence.
        metric: its key; decides the unit.
        higher_is_better: None: neither.
        family: contrasts that Holm's correction is over; 1: it changes nothing.
    """
    arms = list(verdict.contrast.weights)
    if verdict.estimate is None:
        words = f"no seed has a value of each of {', '.join(arms)}"
    else:
        low, high = verdict.interval or (math.nan, math.nan)
        unit = _Unit(is_share(metric) and not verdict.contrast.rank)
        words, turned = _finding(verdict, verdict.estimate, higher_is_better, unit)
        if turned:
            low, high = -high, -low
        facts = [f"95 % {unit.number(low)} to {unit.number(high)}"] if verdict.interval else []
        facts.append(f"n = {verdict.n}")
        if verdict.p_holm is not None:
            facts.append(_p(verdict.p_holm) + (" after Holm" if family > 1 else ""))
        words += f" ({', '.join(facts)}{_sign_flip(verdict)})"
        words += _only_alone(verdict, family) + _more_seeds(verdict, unit)
    left_out = [f"seed {seed} ({', '.join(a)})" for seed, a in verdict.left_out.items()]
    without = f"; left out, as arms lack them: {', '.join(left_out)}" if left_out else ""
    return f"{verdict.outcome}: {words}{without}"


class _Unit:
    """Prints numbers of a metric; shares as points of 100."""

    def __init__(self, share: bool) -> None:
        self.share = share

    def number(self, value: float) -> str:
        if not self.share:
            return f"{value:.3g}"
        points = 100 * value
        return f"{points:.2f}" if abs(points) >= 0.005 or not points else f"{points:.1g}"

    def amount(self, value: float) -> str:
        return self.number(value) + (" points" if self.share else "")


def _finding(
    verdict: "Verdict", estimate: float, higher_is_better: bool | None, unit: _Unit
) -> tuple[str, bool]:
    """What was seen, and whether the words turn the sign round (so that amounts are positive)."""
    contrast = verdict.contrast
    arms, weights = list(contrast.weights), list(contrast.weights.values())
    resolved = verdict.outcome != "not resolved"
    better = None if higher_is_better is None else (estimate > 0) == higher_is_better
    size = unit.amount(abs(estimate))
    if contrast.rank:
        return f"Spearman's correlation over {len(arms)} arms is {estimate:.2f}", False
    if pair := _two_means(contrast):
        if estimate == 0:
            return f"{pair[0]} and {pair[1]} are equal in the mean", False
        if better is None:
            verb = "is above {} by {}" if estimate > 0 else "is below {} by {}"
        elif resolved:
            verb = "beats {} by {}" if better else "is worse than {} by {}"
        else:
            verb = "is ahead of {} by {}" if better else "is behind {} by {}"
        return f"{pair[0]} {verb.format(pair[1], size)}", estimate < 0
    if estimate and _is_slope(contrast):
        over = f"a step over {', '.join(arms)}"
        if better is None:
            way = "higher" if estimate > 0 else "lower"
        else:
            way = "better" if better else "worse"
        if resolved and better is not None:
            verb = "improves" if better else "worsens"
            return f"the metric {verb} by {size} {over}", estimate < 0
        return f"the metric is {size} {way} {over}", estimate < 0
    if estimate and weights == [1, -1, -1, 1]:
        side = "above" if estimate > 0 else "below"
        a, b, c, d = arms
        return f"{a} - {b} lies {size} {side} {c} - {d}", estimate < 0
    terms = " ".join(
        f"{'-' if w < 0 else '+'} {'' if abs(w) == 1 else f'{abs(w):.3g} '}{arm}"
        for arm, w in contrast.weights.items()
        if w
    )
    return f"{terms.removeprefix('+ ')} is {unit.amount(estimate)}", False


def _two_means(contrast: "Contrast") -> tuple[str, str] | None:
    """The arms, or means of arms, of which the one is held against the other; None: neither."""
    sides = [{a: abs(w) for a, w in contrast.weights.items() if w * sign > 0} for sign in (1, -1)]
    if not all(
        side and all(math.isclose(w, 1 / len(side), rel_tol=1e-6) for w in side.values())
        for side in sides
    ):
        return None
    one, other = (
        next(iter(side)) if len(side) == 1 else f"the mean of {', '.join(side)}" for side in sides
    )
    return one, other


def _is_slope(contrast: "Contrast") -> bool:
    slope = slope_weights(list(contrast.weights))
    return len(slope) > 2 and all(
        math.isclose(weight, slope[arm], abs_tol=1e-12) for arm, weight in contrast.weights.items()
    )


def _p(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3g}"


def _sign_flip(verdict: "Verdict") -> str:
    p, floor = verdict.sign_flip_p, verdict.sign_flip_floor
    if verdict.n < 2 or floor is None:
        return ""
    if p is None:
        return "; no sign-flip p above 20 seeds"
    if math.isclose(p, floor):
        return f"; sign-flip {p:.3g}, at its floor"
    return f"; sign-flip {p:.3g}, floor {floor:.3g}"


def _only_alone(verdict: "Verdict", family: int) -> str:
    """Why an interval that is clear of 0 is no verdict: it is of its contrast alone."""
    low, high = verdict.interval or (0.0, 0.0)
    if verdict.outcome != "not resolved" or low <= 0 <= high:
        return ""
    return f"; the interval excludes 0, but is not corrected for {family} contrasts as p is"


def _more_seeds(verdict: "Verdict", unit: _Unit) -> str:
    if verdict.outcome != "not resolved":
        return ""
    able = ""
    if verdict.detectable is not None:
        able = f"; {verdict.n} seeds can detect {unit.amount(verdict.detectable)}"
    if verdict.contrast.rank:
        return "; more arms could resolve it, more seeds measure the same arms again"
    if verdict.n_to_resolve is not None:
        return f"; about {verdict.n_to_resolve} seeds would resolve an effect of this size{able}"
    if verdict.n < 2:
        return "; one seed shows no spread: two or more are needed"
    if not verdict.sd:
        return f"; all {verdict.n} seeds agree to the last digit: no spread to test against"
    return f"; 10,000 seeds would not resolve an effect of this size{able}"

"""Contrasts of an ablation's arms, and the verdict on each over seeds.

docs/statistics.md has the formulas and their sources.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from cnnlab.tracking.contrast_nodes import read_node
from cnnlab.tracking.rank_trend import spearman, trend_p
from cnnlab.tracking.statistics import (
    ALPHA,
    Seed,
    detectable,
    holm,
    holm_levels,
    pair,
    paired_t,
    seeds_to_resolve,
    sign_flip,
)
from cnnlab.tracking.verdict_sentence import sentence

Outcome = Literal["supported", "contradicted", "not resolved"]

_ROUNDING = 1e-12
"""Share of a sum's terms below which the sum is rounding, and 0."""


@dataclass(frozen=True)
class Contrast:
    """A claim about arms: the sign of a weighted sum of their metric.

    Attributes:
        name: unique within its ablation.
        weights: by arm; they sum to 0. With `rank` any numbers.
        expect: the sign of the weighted sum of the metric as it is recorded, if the claim holds.
            More of an accuracy is better and less of a loss: a claimed gain is `positive` for
            `test/top1` and `negative` for `test/loss`.
        rank: instead of the sum: Spearman's correlation over the arms between the numbers in
            `weights` and the metric.
    """

    name: str
    weights: dict[str, float]
    expect: Literal["positive", "negative"]
    rank: bool = False

    def of(self, values: Mapping[str, float]) -> float:
        """The weighted sum of `values` by arm, in their unit; with `rank` the correlation."""
        if self.rank:
            return spearman(list(self.weights.values()), [values[arm] for arm in self.weights])
        # From one of the values: weights written as 0.333333 add up to 0 but for their last digit,
        # and what is left over of them would stand for an effect of arms that are all equal.
        middle = values[next(iter(self.weights))]
        terms = [weight * (values[arm] - middle) for arm, weight in self.weights.items()]
        total = math.fsum(terms)
        # 0.7 - 0.7 over three arms is not always 0 in floating point.
        size = math.fsum(abs(weight * values[arm]) for arm, weight in self.weights.items())
        return 0.0 if abs(total) <= _ROUNDING * size else total

    def turned(self) -> "Contrast":
        """The same claim about a metric whose better direction is the other one."""
        return replace(self, expect="negative" if self.expect == "positive" else "positive")


@dataclass(frozen=True)
class Verdict:
    """What the runs say about a contrast.

    Attributes:
        contrast: what was asked.
        n: seeds that all of its arms have.
        estimate: mean over them of the contrast, in the metric's own unit and direction; None for
            n = 0. With `rank` the correlation with the arms' means over them.
        interval: 95 % t interval of it; None for n < 2, for equal values, and with `rank`.
        p: two-sided, paired t over the seeds; with `rank` the permutation test over the arms of
            the correlation with the mean over the seeds. None where neither exists.
        p_holm: p after Holm over the ablation's contrasts.
        sign_flip_p: exact sign-flip p; None for n = 0, n > 20, and with `rank`.
        sign_flip_floor: the least that it can be, 2 / 2^n; None for n = 0, and with `rank`.
        published: the published effect in the same unit and direction; None where there is none.
        outcome: `supported` or `contradicted` when p_holm < 0.05 and the sign is the expected one
            or the other; else `not resolved`.
        n_to_resolve: seeds that would resolve an effect as large as the one seen 8 times in 10;
            None where resolved, where there is no spread to plan with, above 10,000, and with
            `rank`: more seeds do not make more arms.
        sentence: all of this in plain words.
        sd: of the seeds' values; None for n < 2, and with `rank`.
        detectable: the effect that n seeds find 8 times in 10, in the metric's unit; None without
            a spread.
        by_seed: the contrast of each seed.
        left_out: by seed that was not counted, the arms that lack it.
    """

    contrast: Contrast
    n: int
    estimate: float | None
    interval: tuple[float, float] | None
    p: float | None
    p_holm: float | None
    sign_flip_p: float | None
    sign_flip_floor: float | None
    published: float | None
    outcome: Outcome
    n_to_resolve: int | None
    sentence: str
    sd: float | None = None
    detectable: float | None = None
    by_seed: dict[Seed, float] = field(default_factory=dict)
    left_out: dict[Seed, list[str]] = field(default_factory=dict)


def parse(node: Any, arms: Collection[str], where: str) -> Contrast:
    """One entry of an ablation file's `contrasts`.

    It is `{name, expect, ...}` with one of `arms: [a, b]` (a less b), `slope: [a, b, c ...]`
    (least-squares change a step), `difference: [[a, b], [c, d]]` ((a - b) - (c - d)),
    `weights: {arm: weight}`, `rank: {arm: number}`. (`ablation.json` holds the fields of `Contrast`
    themselves.)

    Args:
        node: plain lists and dicts.
        arms: the ablation's arms.
        where: the key that errors name, such as `ablation.contrasts[0]`.

    Raises:
        UserError: one line that begins with `where`.
    """
    return Contrast(*read_node(node, where, arms))


def evaluate(
    contrasts: Sequence[Contrast],
    values: Mapping[str, Mapping[Seed, float]],
    *,
    metric: str,
    higher_is_better: bool | None,
    published: Mapping[str, float | None],
) -> list[Verdict]:
    """The verdict on each contrast; Holm's family is all of `contrasts`.

    Args:
        contrasts: of one ablation. Their `expect` is about `metric`; `Contrast.turned` where the
            ablation's own metric has the other direction.
        values: `metric` by arm and seed. What is not finite counts as missing.
        metric: its key, such as `test/top1`; shares are printed as points.
        higher_is_better: of `metric`; None: neither (sentences say above and below).
        published: published effect by contrast name, in the unit and direction of `metric`.
    """
    measured = [_measure(contrast, values) for contrast in contrasts]
    p_values = [verdict.p for verdict in measured]
    family = zip(measured, holm(p_values), holm_levels(p_values), strict=True)
    verdicts = []
    for verdict, p_holm, level in family:
        verdict = _judge(verdict, p_holm, level)
        verdict = replace(verdict, published=published.get(verdict.contrast.name))
        words = sentence(verdict, metric, higher_is_better, family=len(contrasts))
        verdicts.append(replace(verdict, sentence=words))
    return verdicts


def _measure(contrast: Contrast, values: Mapping[str, Mapping[Seed, float]]) -> Verdict:
    pairing = pair(values, contrast.weights)
    by_seed = {
        seed: contrast.of({arm: own[i] for arm, own in pairing.values.items()})
        for i, seed in enumerate(pairing.seeds)
    }
    empty = Verdict(
        contrast=contrast,
        n=len(by_seed),
        estimate=None,
        interval=None,
        p=None,
        p_holm=None,
        sign_flip_p=None,
        sign_flip_floor=None,
        published=None,
        outcome="not resolved",
        n_to_resolve=None,
        sentence="",
        by_seed=by_seed,
        left_out=pairing.left_out,
    )
    if not by_seed:
        return empty
    if contrast.rank:
        means = {arm: math.fsum(own) / len(own) for arm, own in pairing.values.items()}
        p = trend_p(list(contrast.weights.values()), [means[arm] for arm in contrast.weights])
        return replace(empty, estimate=contrast.of(means), p=p)
    test, flips = paired_t(list(by_seed.values())), sign_flip(list(by_seed.values()))
    return replace(
        empty,
        estimate=test.mean,
        interval=test.interval,
        p=test.p,
        sign_flip_p=flips.p,
        sign_flip_floor=flips.floor,
        sd=test.sd,
    )


def _judge(verdict: Verdict, p_holm: float | None, level: float) -> Verdict:
    """`verdict` with its outcome, and how many seeds would resolve it at Holm's `level`."""
    estimate = verdict.estimate
    outcome: Outcome = "not resolved"
    if estimate is not None and p_holm is not None and p_holm < ALPHA:
        agrees = (estimate > 0) == (verdict.contrast.expect == "positive")
        outcome = "supported" if agrees else "contradicted"
    least = _detectable(verdict, level)
    needed = _needed(verdict, level) if outcome == "not resolved" else None
    return replace(verdict, p_holm=p_holm, outcome=outcome, n_to_resolve=needed, detectable=least)


def _detectable(verdict: Verdict, level: float) -> float | None:
    if not verdict.sd:
        return None
    return detectable(verdict.sd, verdict.n, level)


def _needed(verdict: Verdict, level: float) -> int | None:
    if verdict.estimate is None or not verdict.sd:
        return None
    return seeds_to_resolve(verdict.estimate, verdict.sd, level)

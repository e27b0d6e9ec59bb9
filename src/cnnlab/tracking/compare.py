"""Runs held against one another: groups over seeds, what differs, what is unfair, what follows.

docs/compare.md says what every figure means.
"""

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from cnnlab.errors import UserError, nearest
from cnnlab.tracking import metric as metrics
from cnnlab.tracking.comparison import COSTS, Comparison, Group, LeftOut, Paired, Point
from cnnlab.tracking.contrasts import Contrast, Verdict, evaluate
from cnnlab.tracking.curves import curves
from cnnlab.tracking.fairness import covered, unequal_seeds, unfair
from cnnlab.tracking.grouping import group, resolve
from cnnlab.tracking.ignoring import own_to_each, without
from cnnlab.tracking.multirun import Multirun, multiruns
from cnnlab.tracking.naming import differing
from cnnlab.tracking.provenance import meta
from cnnlab.tracking.published import PublishedEffect, published_effects
from cnnlab.tracking.reading import RunData
from cnnlab.tracking.remarks import incomplete, no_front, no_verdict, notes, unsteady
from cnnlab.tracking.settings import Key, Settings, Sheaf, alike_in_paths, buckets, seed_of
from cnnlab.tracking.statistics import holm, pair, paired_t, sign_flip, summary

_OF_MACHINE = ("latency_ms", "peak_memory_mb", "fit_s")
"""Costs that another machine changes."""


def compare(
    runs: Sequence[RunData],
    *,
    metric: str | None,
    cost: str,
    by: str | None,
    baseline: str | None,
    higher: bool | None = None,
    ignore: Sequence[str] = (),
) -> Comparison:
    """Group `runs` by config less seed, and say what the groups show.

    Args:
        runs: as they were found. ablation.json and plan.json beside their folders are read.
        metric: key to compare; None: the ablation's, else the usual one of the task.
        cost: a short name of `COSTS`, for the Pareto front.
        by: group by this config key alone.
        baseline: name of the group that the others are held against; None: the ablation's, else
            the first.
        higher: whether higher values of the metric are better; None: as the runs' task says, else
            by the metric's name. What the task says cannot be said otherwise.
        ignore: config keys in which runs may differ and still be one group.

    Raises:
        UserError: no finished run; a metric, cost, key or group that is not there; `higher` against
            the task.
    """
    cost = metrics.check_cost(cost)
    runs, ignored = without(alike_in_paths(runs), ignore)
    several = multiruns({run.folder.parent: None for run in runs})
    one = several[0] if len(several) == 1 and by is None else None
    ablation = one.ablation if one else None
    finished = [run for run in runs if run.status == "finished"]
    if not finished:
        raise UserError(f"no finished run among {_statuses(runs)}")
    key = metrics.choose(finished, metric or (one.metric if one else None))
    counted, left_out = _sift(runs, key)
    sheaves = group(counted, [arm for m in several for arm in m.arms], by)
    sheaves, repeats = _newest(sheaves)
    differs = differing(sheaves)
    groups = [_group(sheaf, key, differs) for sheaf in sheaves]
    guessed = higher is None and metrics.is_guess(key, finished)
    if higher is None:
        higher = metrics.higher_is_better(key, finished)
    else:
        metrics.check_direction(key, higher, finished)
    _mark(groups, cost, higher)
    left_out = _placed(left_out, sheaves) + repeats
    held_against = _baseline(groups, baseline, ablation)
    why_not = no_verdict(several, ablation, counted, key, by)
    verdicts, published = _verdicts(None if why_not else ablation, groups, key, higher, finished)
    return Comparison(
        metric=key,
        higher_is_better=higher,
        cost=cost,
        groups=groups,
        differs=differs,
        warnings=[
            *unfair(
                sheaves,
                metric=key,
                timed=_is_timed(groups, key, cost),
                purpose=_purpose(several, counted, by),
            ),
            *unsteady(groups),
            *unequal_seeds({g.name: list(g.by_seed) for g in groups}),
            *incomplete(several, runs, groups, left_out, by),
        ],
        notes=[
            *notes(several, ablation, groups, sheaves, key, by, why_not),
            *no_front(groups, cost),
            *_direction(key, higher, guessed),
            *([f"ignored: {', '.join(ignored)}"] if ignored else []),
            *own_to_each(groups),
        ],
        baseline=held_against,
        paired=_paired(groups, held_against),
        verdicts=verdicts,
        published=published,
        ablation=ablation,
        curves=curves(groups, key),
        meta=meta(runs, groups, several),
        left_out=left_out,
        no_verdict=why_not,
    )


def _sift(runs: Sequence[RunData], metric: str) -> tuple[list[RunData], list[LeftOut]]:
    """Finished runs that have the metric, and the others with the reason why they do not count."""
    counted, left_out = [], []
    for run in runs:
        value = metrics.value(run, metric)
        if run.status != "finished":
            reason = run.status + (f": {run.reason}" if run.reason else "")
        elif value is None:
            reason = f"{metric} is missing"
        elif not math.isfinite(value):
            reason = f"{metric} is not finite"
        else:
            counted.append(run)
            continue
        left_out.append(LeftOut(run, run.name, reason))
    if not counted:
        first = left_out[0]
        raise UserError(
            f"no run counts: {len(left_out)} left out, such as {first.run.name} ({first.reason})"
        )
    return counted, left_out


def _newest(sheaves: list[Sheaf]) -> tuple[list[Sheaf], list[LeftOut]]:
    """Of runs with one config and one seed the newest: a repeat is no further seed."""
    kept, repeats = [], []
    for sheaf in sheaves:
        members: list[Settings] = []
        for alike in buckets(sheaf.members, partial(_repeats, arm=sheaf.arm)).values():
            if alike[0].run.seed is None:
                members += alike
                continue
            *older, newest = sorted(alike, key=lambda m: str(m.run.time.get("started") or ""))
            members.append(newest)
            reason = f"a newer run has seed {seed_of(newest.run)}, too"
            repeats += [LeftOut(member.run, sheaf.name, reason) for member in older]
        kept.append(replace(Sheaf.of(sheaf.arm, members), name=sheaf.name))
    return kept, repeats


def _repeats(member: Settings, arm: str | None) -> str:
    """Equal for a run and its repeat; of an arm, what an older record lacks makes no other run."""
    return f"{seed_of(member.run)} {'' if arm is not None else member.text()}"


def _group(sheaf: Sheaf, metric: str, differs: Sequence[str]) -> Group:
    points, taken = [], set()
    for run in sheaf.runs:
        seed = seed_of(run)
        key: Key = run.name if seed is None else seed
        if run.seed is None and key in taken:
            key = f"{run.name} {run.folder.name}"
        taken.add(key)
        value = metrics.value(run, metric)
        assert value is not None  # sifted
        points.append(Point(run, key, value))
    points.sort(key=lambda point: (isinstance(point.key, str), point.key))
    values = {
        key: math.fsum(own) / len(own)
        for key, own in (
            (key, [point.value for point in points if point.key == key])
            for key in dict.fromkeys(point.key for point in points)
        )
    }
    own = summary(list(values.values()))
    return Group(
        name=sheaf.name,
        settings={key: sheaf.setting(key) for key in differs},
        points=points,
        values=values,
        mean=own.mean,
        sd=own.sd,
        interval=own.interval,
        cost={name: _mean_cost(sheaf.runs, name) for name in COSTS},
    )


def _mean_cost(runs: Sequence[RunData], name: str) -> float | None:
    known = [cost for run in runs if (cost := metrics.cost(run, name)) is not None]
    if name == "latency_ms" and metrics.is_unsteady(metrics.latencies(runs)):
        return None
    return math.fsum(known) / len(known) if known else None


def _mark(groups: Sequence[Group], cost: str, higher: bool) -> None:
    """Say which group has the best mean, and which lie on the Pareto front of metric and cost."""
    sign = 1 if higher else -1
    goods = [sign * (g.mean if g.mean is not None else math.nan) for g in groups]
    for own, good in zip(groups, goods, strict=True):
        own.best = len(groups) > 1 and good == max(goods)
        price = own.cost[cost]
        own.pareto = price is not None and not any(
            (other.cost[cost] or 0.0) <= price
            and theirs >= good
            and ((other.cost[cost] or 0.0) < price or theirs > good)
            for other, theirs in zip(groups, goods, strict=True)
            if other.cost[cost] is not None
        )


def _baseline(
    groups: Sequence[Group], named: str | None, ablation: dict[str, Any] | None
) -> str | None:
    names = [g.name for g in groups]
    if named is not None:
        if named not in names:
            known = ", ".join(names)
            raise UserError(
                f"--baseline {named}: no such group{nearest(named, names)} (there are {known})"
            )
        return named
    if len(groups) < 2:
        return None
    if ablation is not None:
        own = str(ablation["baseline"])
        return own if own in names else None
    return names[0]


def _paired(groups: Sequence[Group], baseline: str | None) -> list[Paired]:
    values = {g.name: g.by_seed for g in groups}
    found = []
    for name in values:
        if baseline is None or name == baseline:
            continue
        common = pair(values, [name, baseline])
        rows = zip(common.seeds, common.values[name], common.values[baseline], strict=True)
        differences = {seed: mine - theirs for seed, mine, theirs in rows}
        if not differences:
            nothing = (None, None, None, None, None, None, None)
            found.append(Paired(name, baseline, {}, *nothing))
            continue
        test, flips = paired_t(list(differences.values())), sign_flip(list(differences.values()))
        numbers = (test.mean, test.sd, test.interval, test.p, None, flips.p, flips.floor)
        found.append(Paired(name, baseline, differences, *numbers))
    corrected = holm([paired.p for paired in found])
    return [replace(paired, p_holm=p) for paired, p in zip(found, corrected, strict=True)]


def _verdicts(
    ablation: dict[str, Any] | None,
    groups: Sequence[Group],
    metric: str,
    higher: bool,
    runs: Sequence[RunData],
) -> tuple[list[Verdict], dict[str, PublishedEffect]]:
    if ablation is None:
        return [], {}
    contrasts = [Contrast(**node) for node in ablation["contrasts"]]
    claimed = ablation["metric"]
    if not metrics.same_name(metric, claimed) and (
        metrics.higher_is_better(claimed, runs) != higher
    ):
        contrasts = [contrast.turned() for contrast in contrasts]
    published = published_effects(ablation.get("published"), contrasts, metric)
    verdicts = evaluate(
        contrasts,
        {g.name: g.by_seed for g in groups},
        metric=metric,
        higher_is_better=higher,
        published={name: effect.value for name, effect in published.items()},
    )
    return verdicts, published


def _direction(metric: str, higher: bool, guessed: bool) -> list[str]:
    better, option = ("higher", "--lower") if higher else ("lower", "--higher")
    said = f"{metric}: {better} is better, as its name sounds; {option} if it is not"
    return [said] if guessed else []


def _placed(left_out: Sequence[LeftOut], sheaves: Sequence[Sheaf]) -> list[LeftOut]:
    """With the name of the group that each run would be in; its own where there is none."""
    arms = {sheaf.arm: sheaf.name for sheaf in reversed(sheaves) if sheaf.arm is not None}
    configs = {m.text(): sheaf.name for sheaf in sheaves for m in sheaf.members} if left_out else {}
    placed = []
    for out in left_out:
        mine = Settings.of(out.run)
        known = configs.get(mine.text()) or (arms.get(mine.arm) if mine.arm else None)
        placed.append(replace(out, group=known or mine.arm or out.run.name))
    return placed


def _purpose(
    several: Sequence[Multirun], runs: Sequence[RunData], by: str | None
) -> Collection[str] | None:
    if by is not None:
        return {resolve(by, [Settings.of(run) for run in runs])}
    if several and all(run.job for run in runs):
        # What one multirun is about excuses nothing between the runs of another and its own.
        return {
            key
            for multirun in several
            for key in multirun.purpose
            if all(covered(key, other.purpose) for other in several)
        }
    return None


def _is_timed(groups: Sequence[Group], metric: str, cost: str) -> bool:
    """Whether times or memory stand side by side anywhere; the report shows every known cost."""
    named = cost in _OF_MACHINE or metric.startswith(("time/", "cost/latency", "cost/peak_memory"))
    shown = (sum(g.cost[name] is not None for g in groups) > 1 for name in _OF_MACHINE)
    return named or any(shown)


def _statuses(runs: Sequence[RunData]) -> str:
    counts = Counter(run.status for run in runs)
    return ", ".join(f"{n} {status}" for status, n in counts.items()) or "no runs"

"""What a reader of a comparison should know besides the figures."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from cnnlab.tracking.comparison import Group, LeftOut
from cnnlab.tracking.metric import is_about, is_cut, is_unsteady, latencies
from cnnlab.tracking.multirun import Multirun, became
from cnnlab.tracking.naming import shown, some
from cnnlab.tracking.reading import RunData
from cnnlab.tracking.settings import Sheaf, buckets, seed_of

_HELD = {
    "params": "params_m",
    "macs": "gmacs",
    "activations": "activations_m",
    "latency": "latency_ms",
}
_MOST_GROUPS = 8
_COUNTED = {"params_m": "parameters", "gmacs": "MACs", "activations_m": "activations"}
"""What the sides of a contrast are held against one another in, but for what was held."""
_ALIKE = 0.05
"""Share by which costs may differ without a word; what `hold` tolerates by default."""


def incomplete(
    several: Sequence[Multirun],
    runs: Sequence[RunData],
    groups: Sequence[Group],
    left_out: Sequence[LeftOut],
    by: str | None,
) -> list[str]:
    """A line for what is missing: runs that do not count and why; jobs not given or never run."""
    lines = []
    for reason, outs in buckets(left_out, lambda out: out.reason).items():
        named = [f"{out.group}{_seed(out.run)}" for out in outs]
        lines.append(f"left out ({reason}): {some(named)}")
    cut = [run.name for group in groups for run in group.runs if is_cut(run)]
    if cut:
        lines.append(f"metrics.csv ends before its run did: {some(cut)}: curves are not whole")
    found = {run.folder.resolve() for run in runs}
    names = {g.name for g in groups}
    for multirun, name in zip(several, _told_apart(several), strict=True):
        missing = [job.folder for job in multirun.jobs if job.folder.resolve() not in found]
        for reason, folders in buckets(missing, became).items():
            lines.append(f"{reason}: {some([f.name for f in folders])} of {name}")
        if by is not None:
            continue
        of_two = [a for a in multirun.arms if any(n.startswith(f"{a} (") for n in names)]
        if of_two:
            lines.append(
                f"arms of several configs: {some(of_two)}: no verdict can be had on them; name "
                "the folders of one"
            )
        empty = [a for a in multirun.arms if a not in names and a not in of_two]
        if empty and multirun.ablation is not None:
            lines.append(f"no run that counts: {some(empty)} of {name}")
    return lines


def unsteady(groups: Sequence[Group]) -> list[str]:
    """A line where latencies of one net are far apart, which are then no cost of it."""
    busy = []
    for own in groups:
        times = latencies(own.runs)
        if is_unsteady(times):
            busy.append(f"{own.name} ({times[0]:.3g} to {times[-1]:.3g} ms)")
    if not busy:
        return []
    return [f"latency: far apart within {some(busy)}: the machine was busy; no mean is shown"]


def no_front(groups: Sequence[Group], cost: str) -> list[str]:
    """A line where there is no Pareto front because nobody knows the cost."""
    if any(own.cost[cost] is not None for own in groups):
        return []
    alone = "; it is measured where one job runs at a time" * (cost == "latency_ms")
    return [f"no Pareto front: no group has a {cost} that counts{alone}"]


def notes(
    several: Sequence[Multirun],
    ablation: dict[str, Any] | None,
    groups: Sequence[Group],
    sheaves: Sequence[Sheaf],
    metric: str,
    by: str | None,
    why_not: str,
) -> list[str]:
    """What is no fault: one seed only, no verdict and why, what was held constant, tuned or not."""
    lines = []
    single = [g.name for g in groups if g.n == 1]
    if single:
        lines.append(f"one seed only: {some(single)}: no interval, no test")
    no_seed = [g.name for g in groups if any(run.seed is None for run in g.runs)]
    if no_seed:
        lines.append(f"runs without a seed, which cannot be paired: {some(no_seed)}")
    averaged = [g.name for g in groups if len(g.points) > g.n]
    if averaged:
        lines.append(f"--by {by}: a seed's value is the mean of its runs in {some(averaged)}")
    if why_not:
        lines.append(f"no verdict: {why_not}")
    if by is None:
        lines += [_solved(m) for m in several if m.solved]
    if ablation is None:
        return lines
    if ablation["metric"] != metric and not why_not:
        lines.append(f"the claim is about {ablation['metric']}, the verdict on {metric}")
    lines += [_changed(earlier) for earlier in ablation.get("before") or []]
    held = (ablation.get("hold") or {}).get("cost")
    lines += _held(ablation, groups) if held else []
    lines += _uneven(ablation, groups, but=_HELD.get(str(held), ""))
    lines.append(_tuned(ablation, sheaves))
    if ablation.get("scale") == "small":
        lines.append("scale=small: this tests the direction of the claim, not its published value")
    return lines


def no_verdict(
    several: Sequence[Multirun],
    ablation: dict[str, Any] | None,
    runs: Sequence[RunData],
    metric: str,
    by: str | None,
) -> str:
    """Why there is none, though something was claimed; "" where nothing stands in its way."""
    if ablation is not None:
        claimed = ablation["metric"]
        return "" if is_about(metric, claimed) else f"the claim is about {claimed}, not {metric}"
    if not any(m.ablation for m in several):
        jobs = [run.job["name"] for run in runs if run.wandb is not None and run.job]
        if several or not jobs or by is not None:
            return ""
        return (
            f"the ablation.json of {some(list(dict.fromkeys(jobs)))}, if it is an ablation, is not "
            "at W&B; name a folder that holds it and a run of it, too"
        )
    if by is not None:
        return f"the groups of --by {by} are not the ablation's arms"
    names = some(_told_apart(several))
    return f"these are runs of several multiruns ({names}); compare one at a time"


def _told_apart(several: Sequence[Multirun]) -> list[str]:
    """Their names; with the folder where two have one name."""
    names = [m.name for m in several]
    return [f"{m.name} in {m.folder}" if names.count(m.name) > 1 else m.name for m in several]


def _changed(earlier: dict[str, Any]) -> str:
    what = ", ".join(key for key in earlier if key != "until")
    day = str(earlier["until"])[:10]
    return f"changed on {day}, after runs had finished: {what} (ablation.json: before)"


def _solved(multirun: Multirun) -> str:
    """The free knob of every arm, and how far it leaves the cost from what is held."""
    arms = [
        f"{one['key']}={shown(one['value'])} in {arm} ({100 * one['deviation']:+.1f} %)"
        for arm, one in multirun.solved.items()
    ]
    within = ""
    if multirun.hold:
        within = f" to hold {multirun.hold['cost']} within {100 * multirun.hold['tolerance']:g} %"
    return f"solved{within}: {some(arms, _MOST_GROUPS)}"


def _held(ablation: dict[str, Any], groups: Sequence[Group]) -> list[str]:
    """How far the cost that was held constant is off in the arm that misses it most."""
    held = ablation["hold"]
    base = next((g for g in groups if g.name == ablation["baseline"]), None)
    if base is None:
        return []
    name = _HELD.get(held["cost"], held["cost"])
    target = base.cost.get(name)
    known = [(g.cost[name], g.name) for g in groups if target and g.cost.get(name) is not None]
    if not target or not known:
        return [f"held constant: {held['cost']}; not measured"]
    value, worst = max(known, key=lambda item: abs((item[0] or 0.0) / target - 1))
    off = 100 * ((value or 0.0) / target - 1)
    return [f"held constant: {held['cost']}, {off:+.1f} % at most ({worst} against {base.name})"]


def _uneven(ablation: dict[str, Any], groups: Sequence[Group], but: str) -> list[str]:
    """How far the costs of two sides of a contrast are apart, `but` the one that was held.

    A side is a mean of arms (positive weights add up to 1), so slopes, rank correlations and
    differences of differences have none.
    """
    costs = {g.name: g.cost for g in groups}
    lines = []
    for contrast in ablation["contrasts"]:
        weights = contrast["weights"]
        sides = [{a: abs(w) for a, w in weights.items() if w * sign > 0} for sign in (1, -1)]
        two = all(math.isclose(math.fsum(side.values()), 1.0) for side in sides)
        if contrast.get("rank") or not two or any(arm not in costs for arm in weights):
            continue
        apart = []
        for name, title in _COUNTED.items():
            if name == but:
                continue
            one, other = (_mean((w, costs[arm][name]) for arm, w in s.items()) for s in sides)
            off = one / other - 1 if one is not None and other else 0.0
            if abs(off) > _ALIKE:
                apart.append(
                    f"{1 + off:.1f} times the {title}"
                    if off > 1
                    else f"{100 * abs(off):.1f} % {'more' if off > 0 else 'fewer'} {title}"
                )
        if apart:
            names = [
                f"the mean of {some(list(side), _MOST_GROUPS)}"
                if len(side) > 1
                else next(iter(side))
                for side in sides
            ]
            lines.append(f"cost: {names[0]} against {names[1]}: {', '.join(apart)}")
    return list(dict.fromkeys(lines))


def _mean(weighted: Iterable[tuple[float, float | None]]) -> float | None:
    """None where one of the values is not known."""
    total = 0.0
    for weight, value in weighted:
        if value is None:
            return None
        total += weight * value
    return total


def _tuned(ablation: dict[str, Any], sheaves: Sequence[Sheaf]) -> str:
    values = ablation.get("tune") or {}
    if not values:
        return "not tuned: every arm ran with the file's own recipe"
    how = ablation.get("tuned") or {}  # missing where the file says so, and nothing was run
    listed = ", ".join(
        f"{key} in {{{', '.join(map(shown, own))}}}"
        for key, own in (how.get("values") or values).items()
    )
    seeds = how.get("seeds") or []
    by = f" by {how['metric']}, {len(seeds)} seed{'s' * (len(seeds) != 1)}" if how else " on val"
    used = "; ".join(
        f"{s.name} " + ", ".join(f"{key}={shown(s.setting(key))}" for key in values)
        for s in sheaves[:_MOST_GROUPS]
    )
    lost = [
        f"{arm} {', '.join(f'{key}={shown(own)}' for key, own in one['point'].items())} "
        f"({one['why']})"
        for arm, choice in (how.get("arms") or {}).items()
        for one in choice["tried"]
        if one["why"]
    ]
    left_out = f"; left out: {some(lost)}" if lost else ""
    at_edge = [
        f"{key} of {arm}"
        for arm, choice in (how.get("arms") or {}).items()
        for key in values
        if is_at_edge(choice["point"].get(key), [one["point"].get(key) for one in choice["tried"]])
    ]
    edges = f"; at the edge of the grid: {some(at_edge)}" if at_edge else ""
    return f"tuned: {listed}{by}, every arm by the same search: {used}{left_out}{edges}"


def is_at_edge(chosen: Any, tried: Sequence[Any]) -> bool:
    """Whether the smallest or largest number of a grid was chosen: a better one may lie beyond."""
    numbers = {v for v in tried if isinstance(v, int | float) and not isinstance(v, bool)}
    return len(numbers) > 1 and chosen in (min(numbers), max(numbers))


def _seed(run: RunData) -> str:
    return "" if run.seed is None else f" seed {seed_of(run)}"

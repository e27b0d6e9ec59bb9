"""A comparison as tables of words, which the terminal, Markdown and LaTeX then set."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from cnnlab.tracking.comparison import Comparison, Group, Paired
from cnnlab.tracking.naming import shown

COST_TITLES = {
    "params_m": "params/M",
    "gmacs": "GMACs",
    "activations_m": "act./M",
    "latency_ms": "latency/ms",
    "peak_memory_mb": "memory/MB",
    "fit_s": "fit/s",
}
_ALWAYS = ("params_m", "gmacs", "activations_m", "latency_ms")
"""Costs with a column where they are known; others where they are asked for."""
NONE = "-"


@dataclass
class Grid:
    """A table of words.

    Attributes:
        title: what it shows; a sentence without a full stop.
        header: the first column is left-aligned, the others are numbers.
        rows: as wide as the header.
        strong: row and column of the cells that stand out.
        foot: what the signs mean; "" for nothing.
    """

    title: str
    header: list[str]
    rows: list[list[str]]
    strong: set[tuple[int, int]] = field(default_factory=set)
    foot: str = ""


def grids(comparison: Comparison) -> list[Grid]:
    """Groups; what differs; paired differences; verdicts: those that have something to say."""
    made = [_groups(comparison), _settings(comparison), _paired(comparison), _verdicts(comparison)]
    return [grid for grid in made if grid.rows]


def heading(comparison: Comparison) -> str:
    """`resnext_groups: test/top1 of 15 runs in 5 groups; tested: last checkpoint`."""
    meta = comparison.meta
    runs = f"{meta.used} run{'s' * (meta.used != 1)}"
    found = f" ({meta.found} found)" if meta.found != meta.used else ""
    groups = f"{len(comparison.groups)} group{'s' * (len(comparison.groups) != 1)}"
    words = [] if comparison.higher_is_better else ["lower is better"]
    if meta.tested and not comparison.metric.startswith("cost/"):
        words.append(f"tested: {' and '.join(meta.tested)} checkpoint")
    more = f"; {', '.join(words)}" if words else ""
    return f"{meta.title}: {comparison.metric} of {runs}{found} in {groups}{more}"


def basis(comparison: Comparison) -> str:
    """Data, hardware, commits and time, in one line."""
    meta = comparison.meta
    parts = [", ".join(meta.data), "; ".join(meta.hardware)]
    parts.append(f"commit {', '.join(meta.commits)}" if meta.commits else "")
    parts.append(f"{running_time(meta.total_s)} in all" if meta.total_s else "")
    return " | ".join(part for part in parts if part)


def running_time(seconds: float) -> str:
    """`12 s`, `3.5 min`, `2.1 h`."""
    if seconds < 60:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def number(value: float | None, signed: bool = False) -> str:
    """A metric or a difference: four decimals below ten, else four digits; - for none."""
    if value is None or not math.isfinite(value):
        return NONE
    sign = "+" if signed else ""
    return f"{value:{sign}.4f}" if abs(value) < 10 else f"{value:{sign}.4g}"


def half_width(interval: tuple[float, float] | None) -> str:
    """Of an interval about a mean."""
    return NONE if interval is None else number((interval[1] - interval[0]) / 2)


def p_value(p: float | None) -> str:
    """Three decimals; `<0.001` below."""
    if p is None:
        return NONE
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _exact(p: float | None) -> str:
    """Of sign flips, which are fractions of powers of two."""
    return NONE if p is None else f"{p:.3g}"


def _groups(comparison: Comparison) -> Grid:
    costs = [
        name
        for name in dict.fromkeys((*_ALWAYS, comparison.cost))
        if any(g.cost[name] is not None for g in comparison.groups)
    ]
    front = comparison.cost in costs and len(comparison.groups) > 1
    header = ["group", "n", "mean", "sd", "± 95 %", *(COST_TITLES[name] for name in costs)]
    rows, strong = [], set()
    for index, g in enumerate(comparison.groups):
        figures = [number(g.mean), number(g.sd), half_width(g.interval)]
        prices = [_cost(g, name) for name in costs]
        rows.append([g.name, str(g.n), *figures, *prices, *["*" * g.pareto] * front])
        strong |= {(index, 2)} if g.best else set()
    foot = ""
    if front:
        header.append("front")
        better = "higher" if comparison.higher_is_better else "lower"
        foot = (
            f"* Pareto front: no group with less {COST_TITLES[comparison.cost]} is as good in "
            f"{comparison.metric} ({better} is better)"
        )
    title = f"{comparison.metric} by group; mean, sample sd and 95 % t interval over seeds"
    return Grid(title, header, rows, strong, foot)


def _settings(comparison: Comparison) -> Grid:
    """One row a key, since there are few groups or few keys, and names are long."""
    groups = comparison.groups
    if len(groups) < 2:
        return Grid("", [], [])
    rows = []
    for key in comparison.differs:
        values = dict.fromkeys(shown(g.settings[key]) for g in groups)
        each = [shown(g.settings[key]) for g in groups]
        rows.append([key, " | ".join(each if len(values) > 1 else values)])
    return Grid("what differs, in the order of the groups", ["key", "values"], rows)


def _paired(comparison: Comparison) -> Grid:
    header = ["group", "n", "difference", "± 95 %", "p", "p Holm", "sign flip", "floor"]
    rows = [[p.group, str(p.n), *_difference(p)] for p in comparison.paired]
    title = f"difference to {comparison.baseline}, seed by seed: {comparison.metric}"
    foot = (
        "p: paired t, two-sided; Holm over these rows (p alone is corrected, ± 95 % is of each row "
        "by itself); sign flip: exact p and the least it can be with n seeds"
    )
    return Grid(title, header, rows, foot=foot)


def _difference(paired: Paired) -> Sequence[str]:
    return (
        number(paired.mean, signed=True),
        half_width(paired.interval),
        p_value(paired.p),
        p_value(paired.p_holm),
        _exact(paired.sign_flip_p),
        _exact(paired.sign_flip_floor),
    )


def _verdicts(comparison: Comparison) -> Grid:
    header = ["contrast", "verdict", "n", "measured", "± 95 %", "published", "p Holm", "sign flip"]
    rows = [
        [
            verdict.contrast.name,
            verdict.outcome,
            str(verdict.n),
            number(verdict.estimate, signed=True),
            half_width(verdict.interval),
            number(verdict.published, signed=True),
            p_value(verdict.p_holm),
            _exact(verdict.sign_flip_p),
        ]
        for verdict in comparison.verdicts
    ]
    strong = {(index, 1) for index in range(len(rows))}
    foot = "± 95 %: of each contrast by itself; the verdict is by p Holm" if len(rows) > 1 else ""
    return Grid("what the claim's contrasts say", header, rows, strong, foot)


def sentences(comparison: Comparison) -> list[str]:
    """A line a verdict, with what its published effect is of or why there is none."""
    lines = []
    for verdict in comparison.verdicts:
        name = verdict.contrast.name
        lines.append(f"{name}: {verdict.sentence}")
        effect = comparison.published.get(name)
        if effect is None:
            continue
        if effect.value is None:
            lines.append(f"{name}: nothing published to compare with ({effect.missing})")
        else:
            note = f"; {effect.note}" if effect.note else ""
            source = f"{effect.metric}, {effect.dataset}{note}"
            lines.append(f"{name}: published {number(effect.value, signed=True)} ({source})")
    return lines


def _cost(g: Group, name: str) -> str:
    value = g.cost[name]
    if value is None:
        return NONE
    return f"{value:.4g}" if value < 1e4 else f"{value:.0f}"

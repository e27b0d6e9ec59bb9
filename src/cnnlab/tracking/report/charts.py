"""The charts of the page, with the words below them."""

from collections.abc import Mapping
from functools import partial

from cnnlab.tracking.comparison import Comparison, Paired
from cnnlab.tracking.grids import COST_TITLES
from cnnlab.tracking.naming import some
from cnnlab.tracking.report.edf import distributions, edf, is_error
from cnnlab.tracking.report.figure import choice, figure
from cnnlab.tracking.report.forest import Row, forest
from cnnlab.tracking.report.lines import drawn, lines, second_half
from cnnlab.tracking.report.markup import Html, tag
from cnnlab.tracking.report.palette import Look
from cnnlab.tracking.report.scatter import scatter
from cnnlab.tracking.report.tables import known_costs
from cnnlab.tracking.report.units import Unit

MOST_ROWS = 60
"""Of the chart of differences; the table has all."""
_SORTED_FROM = 12
"""Rows from which on the greatest comes first; fewer are in the order of the groups."""


def differences(comparison: Comparison, own: Mapping[str, Look]) -> Html:
    """Every group less the baseline."""
    unit = Unit.of(comparison.metric)
    known = [p for p in comparison.paired if p.mean is not None]
    most = sorted(known, key=lambda p: -abs(p.mean or 0.0))[:MOST_ROWS]
    most.sort(key=lambda p: -(p.mean or 0.0))
    if not known:
        return tag("p", "No group shares a seed with the baseline.")
    rows = [
        Row(
            label=p.group,
            text=_figures(p, unit),
            mean=(p.mean or 0.0) * unit.scale,
            interval=p.interval and (p.interval[0] * unit.scale, p.interval[1] * unit.scale),
            dots=[value * unit.scale for value in p.differences.values()],
            css=own[p.group].css,
            shape=own[p.group].shape,
            index=own[p.group].index,
        )
        for p in (most if len(known) > _SORTED_FROM else known)
    ]
    up = comparison.higher_is_better
    draw = partial(
        forest,
        rows,
        title=unit.titled_change(f"difference in {comparison.metric}"),
        sides=("worse", "better") if up else ("better", "worse"),
        good=1 if up else -1,
        name=f"paired differences from {comparison.baseline}",
    )
    less = f"Each group less {comparison.baseline}, seed by seed: the large mark is the mean, "
    words = [f"{less}a small dot one seed."]
    if any(row.interval for row in rows):
        words.append(
            " The bar is the 95 % interval; one that touches zero is never resolved, one that does "
            "not may still fail Holm's correction."
        )
    if len(rows) < len(known):
        words.append(f" The {len(rows)} largest of {len(known)} differences; the table has all.")
    if alone := [p.group for p in comparison.paired if p.mean is None]:
        words.append(f" Without a seed of the baseline's: {some(alone)}.")
    return figure(draw, words)


def _figures(paired: Paired, unit: Unit) -> str:
    words = [unit.number(paired.mean, signed=True)]
    if paired.interval is not None:
        low, high = paired.interval
        words.append(f"[{unit.number(low)}, {unit.number(high)}]")
    return " ".join(words)


def errors(comparison: Comparison, own: Mapping[str, Look]) -> Html | None:
    """The distribution of each set of arms that the ablation file names."""
    sets = distributions(comparison)
    if not sets:
        return None
    unit, metric = Unit.of(comparison.metric), comparison.metric
    title = unit.titled(f"error, 1 - {metric}" if is_error(comparison) else metric)
    falls = is_error(comparison) or not comparison.higher_is_better
    words = [
        "The share of each set's nets at or below a value (empirical distribution function); a "
        f"net's is the mean over its seeds. Further {'left' if falls else 'right'} is better. ",
        "Median: ",
        "; ".join(f"{s.name} {unit.value(s.median)} (nets: {len(s.nets)})" for s in sets),
        ".",
    ]
    missing = [arm for one in sets for arm in one.missing]
    if missing:
        words.append(f" Not among them, as no run counts: {some(missing)}.")
    return figure(partial(edf, sets, own, title=title, unit=unit), words)


def curves(comparison: Comparison, own: Mapping[str, Look]) -> Html | None:
    """One history key at a time."""
    figures = {}
    for key, all_ in comparison.curves.items():
        kept = drawn(all_, own)
        words = ["Line: mean over the runs; band: from the least to the greatest of them."]
        if any(not own[curve.group].stands_out for curve in kept):
            words.append(" Grey: the other groups; point at a row of the table to see its line.")
        if len(kept) < len(all_):
            words.append(f" {len(kept)} of {len(all_)} groups are drawn.")
        figures[key] = figure(partial(lines, key, kept, own), words)
        late = second_half(kept)
        if late:
            figures[f"{key}, second half"] = figure(partial(lines, key, late, own), words)
    return choice(figures, "curve of") if figures else None


def costs(comparison: Comparison, own: Mapping[str, Look]) -> Html | None:
    """One cost at a time, the comparison's own first."""
    if len(comparison.groups) < 2:
        return None
    figures = {}
    for cost in known_costs(comparison):
        named = {g.name: g for g in comparison.groups if g.cost[cost] is not None}
        groups = [g for g in named.values() if g.mean is not None]
        draw = partial(
            scatter,
            groups,
            own,
            cost=cost,
            title=COST_TITLES[cost],
            metric=comparison.metric,
            higher_is_better=comparison.higher_is_better,
        )
        words = ["Dashed: the Pareto front, the best that can be had at each cost."]
        missing = [g.name for g in comparison.groups if g.name not in named]
        if missing:
            words.append(f" Not measured: {some(missing)}.")
        figures[COST_TITLES[cost]] = figure(draw, words)
    return choice(figures, "cost") if figures else None

"""The page: the answer first, then what it rests on."""

import base64
import hashlib
from collections.abc import Mapping
from functools import partial
from importlib.resources import files

from cnnlab.tracking.comparison import Comparison
from cnnlab.tracking.grids import COST_TITLES
from cnnlab.tracking.report import tables
from cnnlab.tracking.report.answer import answer, heading, questions
from cnnlab.tracking.report.figure import choice, figure
from cnnlab.tracking.report.forest import Row, forest
from cnnlab.tracking.report.lines import drawn, lines, second_half
from cnnlab.tracking.report.markup import Child, Html, join, tag
from cnnlab.tracking.report.palette import Look, looks
from cnnlab.tracking.report.scatter import scatter
from cnnlab.tracking.report.units import Unit

MOST_ROWS = 60
"""Of the chart of differences; the table has all."""
_SORTED_FROM = 12
"""Rows from which on the greatest comes first; fewer are in the order of the groups."""


def page(comparison: Comparison) -> str:
    """`comparison` as an HTML document that loads nothing."""
    style = Html((files(__package__) / "style.css").read_text())
    script = Html((files(__package__) / "script.js").read_text())
    own = looks(comparison)
    sections = [
        heading(comparison),
        answer(comparison),
        _warnings(comparison),
        questions(comparison),
        _differences(comparison, own),
        _section(
            "groups", "All groups", tables.groups_table(comparison, own), _table_words(comparison)
        ),
        _curves(comparison, own),
        _costs(comparison, own),
        _config(comparison, own),
        _basis(comparison),
        _runs(comparison, own),
    ]
    head = [
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_policy(script)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", _title(comparison)),
        tag("style", style),
    ]
    body = [tag("main", sections), tag("script", script)]
    document = tag("html", tag("head", head), tag("body", body), lang="en")
    return f"<!DOCTYPE html>\n{document}\n"


def _policy(script: str) -> str:
    """Nothing is loaded, and no script runs but the page's own."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def _title(comparison: Comparison) -> str:
    outcomes = dict.fromkeys(verdict.outcome for verdict in comparison.verdicts)
    words = ", ".join(outcomes) if outcomes else comparison.metric
    return f"{comparison.meta.title}: {words}"


def _section(id: str, title: str, *content: Child) -> Html:
    return tag("section", tag("h2", title), content, id=id)


def _warnings(comparison: Comparison) -> Html | None:
    if not (comparison.warnings or comparison.notes):
        return None
    warnings = tag(
        "div",
        tag("h2", "⚠ Unfair or incomplete"),
        tag("ul", [tag("li", line) for line in comparison.warnings]),
        class_="warnings",
        id="warnings",
    )
    notes = tag(
        "div",
        tag("h2", "Good to know"),
        tag("ul", [tag("li", line) for line in comparison.notes]),
        class_="notes",
    )
    return tag(
        "section",
        warnings if comparison.warnings else None,
        notes if comparison.notes else None,
        aria_label="warnings and notes",
    )


def _differences(comparison: Comparison, own: Mapping[str, Look]) -> Html | None:
    if not comparison.paired:
        return None
    unit = Unit.of(comparison.metric)
    known = [p for p in comparison.paired if p.mean is not None]
    most = sorted(known, key=lambda p: -abs(p.mean or 0.0))[:MOST_ROWS]
    most.sort(key=lambda p: -(p.mean or 0.0))
    rows = [
        Row(
            label=p.group,
            text=f"{unit.number(p.mean, signed=True)} "
            + (
                f"[{unit.number(p.interval[0])}, {unit.number(p.interval[1])}]"
                if p.interval
                else ""
            ),
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
    words = [
        f"Each group less {comparison.baseline}, seed by seed: the large mark is the mean, the bar "
        "its 95 % interval, a small dot one seed. A bar that crosses zero shows no difference yet."
    ]
    if len(rows) < len(known):
        words.append(f" The {len(rows)} largest of {len(known)} differences; the table has all.")
    details = tag("details", tag("summary", "the figures"), tables.paired_table(comparison, own))
    return _section(
        "differences",
        f"Difference from the baseline, {comparison.baseline}",
        figure(draw, words) if rows else tag("p", "No group shares a seed with the baseline."),
        details,
    )


def _table_words(comparison: Comparison) -> Html | None:
    words = []
    if comparison.baseline is not None:
        words.append(f"Difference and p are against {comparison.baseline}, seed by seed.")
    if any(g.pareto for g in comparison.groups):
        title = COST_TITLES[comparison.cost]
        words.append(f"Front: no other group is as good at less {title}, or better at the same.")
    if not words or len(comparison.groups) < 2:
        return None
    return tag("p", " ".join(["Press a title to sort.", *words]), class_="caption")


def _curves(comparison: Comparison, own: Mapping[str, Look]) -> Html | None:
    if not comparison.curves:
        return None
    figures = {}
    for key, curves in comparison.curves.items():
        kept = drawn(curves, own)
        words = ["Line: mean over the runs; band: from the least to the greatest of them."]
        if any(not own[curve.group].stands_out for curve in kept):
            words.append(" Grey: the other groups; point at a row of the table to see its line.")
        if len(kept) < len(curves):
            words.append(f" {len(kept)} of {len(curves)} groups are drawn.")
        figures[key] = figure(partial(lines, key, kept, own), words)
        late = second_half(kept)
        if late:
            figures[f"{key}, second half"] = figure(partial(lines, key, late, own), words)
    return _section("curves", "Learning curves", choice(figures, next(iter(figures)), "curve of"))


def _costs(comparison: Comparison, own: Mapping[str, Look]) -> Html | None:
    figures = {}
    if len(comparison.groups) < 2:
        return None
    for cost in tables.known_costs(comparison):
        groups = [g for g in comparison.groups if g.cost[cost] is not None and g.mean is not None]
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
        missing = [g.name for g in comparison.groups if g not in groups]
        if missing:
            words.append(f" Not measured: {', '.join(missing[:4])}")
            words.append(f" and {len(missing) - 4} more." if len(missing) > 4 else ".")
        figures[COST_TITLES[cost]] = figure(draw, words)
    if not figures:
        return None
    chosen = choice(figures, next(iter(figures)), "cost")
    return _section("costs", f"{comparison.metric} against cost", chosen)


def _config(comparison: Comparison, own: Mapping[str, Look]) -> Html | None:
    if not comparison.differs:
        return None
    words = tag("p", "All other settings but the seed are the same.", class_="caption")
    return _section("config", "What differs", tables.settings_table(comparison, own), words)


def _basis(comparison: Comparison) -> Html:
    meta = comparison.meta
    tested = "" if comparison.metric.startswith("cost/") else " and ".join(meta.tested)
    when = f"{tables.moment(meta.started)} to {tables.moment(meta.ended)}"
    facts = {
        "data": ", ".join(meta.data),
        "tested": f"{tested} checkpoint" if tested else "",
        "runs": f"{meta.used} count of {meta.found} found",
        "code": ", ".join(meta.commits) + (" (+: files differed)" * ("+" in "".join(meta.commits))),
        "hardware": "; ".join(meta.hardware),
        "when": when if meta.started else "",
        "running time": f"{meta.total_s / 3600:.2g} h in all" if meta.total_s else "",
    }
    rows = [join([tag("dt", key), tag("dd", text)]) for key, text in facts.items() if text]
    return _section("basis", "How it was run", tag("dl", rows, class_="basis"))


def _runs(comparison: Comparison, own: Mapping[str, Look]) -> Html:
    out = len(comparison.left_out)
    left = tag(
        "details",
        tag("summary", f"{out} run{'s' * (out != 1)} left out, and why"),
        tables.left_out_table(comparison),
        open=out <= 10,
    )
    used = tag(
        "details",
        tag("summary", f"{comparison.meta.used} runs that count"),
        tables.runs_table(comparison, own),
    )
    return _section("runs", "Runs", left if out else None, used)

"""The report's tables: groups, paired differences, config, runs, and those left out."""

import re
from collections.abc import Mapping

from cnnlab.tracking.comparison import COSTS, Comparison, Group
from cnnlab.tracking.grids import COST_TITLES, NONE
from cnnlab.tracking.naming import shown
from cnnlab.tracking.report.markup import Child, Html, tag
from cnnlab.tracking.report.palette import Look, swatch
from cnnlab.tracking.report.table import Cell, Row, table
from cnnlab.tracking.report.units import Unit, cost_text, p_text

Looks = Mapping[str, Look]
_BREAKS = re.compile(r"(?<=[_=.,/])(?=.)")


def groups_table(comparison: Comparison, looks: Looks) -> Html:
    """A row a group: metric, difference from the baseline, costs."""
    unit, paired = Unit.of(comparison.metric), {p.group: p for p in comparison.paired}
    several = len(comparison.groups) > 1
    costs = known_costs(comparison)
    header: list[str | tuple[str, str]] = [
        "group",
        ("n", "seeds"),
        (unit.titled(comparison.metric), "mean over the seeds"),
        ("±\u00a095\u00a0%", "half of the 95 % t interval of the mean"),
        ("sd", "sample standard deviation over the seeds"),
    ]
    if comparison.paired:
        title = unit.titled_change("difference")
        header.append((title, f"mean of group less {comparison.baseline}, seed by seed"))
        header.append(("p Holm", "two-sided paired t, after Holm's correction over the groups"))
    costs_header = [(COST_TITLES[name], "mean over the runs") for name in costs]
    front = several and comparison.cost in costs
    # The front is about the first cost.
    header += [*costs_header[:1], *["front"] * front, *costs_header[1:]]
    rows = []
    for g in comparison.groups:
        half = None if g.interval is None else g.interval[1] - g.interval[0]
        cells: list[Cell | str] = [
            _group(looks, g.name, _tags(comparison, g)),
            Cell(str(g.n), g.n),
            Cell(unit.number(g.mean), g.mean, "best" if g.best else None),
            Cell(unit.half(g.interval), half),
            Cell(unit.number(g.sd), g.sd),
        ]
        if comparison.paired:
            own = paired.get(g.name)
            less, p = (own.mean, own.p_holm) if own else (None, None)
            cells += [Cell(unit.number(less, signed=True), less), Cell(p_text(p), p)]
        prices = [Cell(cost_text(g.cost[name]), g.cost[name]) for name in costs]
        cells += [*prices[:1], *["yes" if g.pareto else ""] * front, *prices[1:]]
        rows.append(Row(cells, looks[g.name].index))
    return table("groups", header, rows)


def known_costs(comparison: Comparison) -> list[str]:
    """Short names of the costs that were measured in any group, the comparison's own first."""
    names = dict.fromkeys((comparison.cost, *COSTS))
    return [n for n in names if any(g.cost[n] is not None for g in comparison.groups)]


def paired_table(comparison: Comparison, looks: Looks) -> Html:
    """A row for every group but the baseline."""
    unit = Unit.of(comparison.metric)
    header: list[str | tuple[str, str]] = [
        "group",
        ("n", "seeds that both have"),
        (unit.titled_change("difference"), f"mean of group less {comparison.baseline}"),
        ("±\u00a095\u00a0%", "half of the 95 % interval of Student's paired t"),
        ("sd", "sample standard deviation of the differences"),
        ("p", "two-sided paired t"),
        ("p Holm", "after Holm's correction over these rows"),
        ("sign flip p", "exact, of flipping the signs of the differences"),
        ("its floor", "the least that the sign-flip p can be with n seeds"),
    ]
    rows = []
    for own in comparison.paired:
        half = None if own.interval is None else own.interval[1] - own.interval[0]
        rows.append(
            Row(
                [
                    _group(looks, own.group),
                    Cell(str(own.n), own.n),
                    Cell(unit.number(own.mean, signed=True), own.mean),
                    Cell(unit.half(own.interval), half),
                    Cell(unit.number(own.sd), own.sd),
                    *(
                        Cell(p_text(p), p)
                        for p in (own.p, own.p_holm, own.sign_flip_p, own.sign_flip_floor)
                    ),
                ],
                looks[own.group].index,
            )
        )
    return table("paired", header, rows)


def settings_table(comparison: Comparison, looks: Looks) -> Html:
    """What differs: the longer of groups and keys runs down the page."""
    groups, keys = comparison.groups, comparison.differs
    if len(keys) > len(groups):
        rows = [Row([key, *(_setting(g, key) for g in groups)]) for key in keys]
        return table("config", ["config key", *(g.name for g in groups)], rows)
    rows = [
        Row(
            [
                _group(looks, g.name),
                *(_setting(g, key) for key in keys),
            ],
            looks[g.name].index,
        )
        for g in groups
    ]
    return table("config", ["group", *keys], rows)


def runs_table(comparison: Comparison, looks: Looks) -> Html:
    """Every run that counts."""
    unit = Unit.of(comparison.metric)
    header: list[str | tuple[str, str]] = [
        "group",
        "seed",
        (unit.titled(comparison.metric), "of the run"),
        "run",
        "commit",
        "started",
    ]
    rows = []
    for g in comparison.groups:
        for point in g.points:
            run, git = point.run, point.run.git or {}
            commit = str(git.get("commit") or "")[:7] + "+" * bool(git.get("dirty"))
            cells: list[Cell | str] = [
                _group(looks, g.name),
                Cell(NONE if run.seed is None else str(run.seed), run.seed),
                Cell(unit.number(point.value), point.value),
                run.name,
                commit,
                moment(run.time.get("started")),
            ]
            rows.append(Row(cells, looks[g.name].index))
    return table("runs", header, rows)


def left_out_table(comparison: Comparison) -> Html:
    """Every run that was found and does not count."""
    rows = [
        Row(
            [
                out.group,
                Cell(NONE if out.run.seed is None else str(out.run.seed), out.run.seed),
                Cell(out.reason, css="words"),
                out.run.name,
            ]
        )
        for out in comparison.left_out
    ]
    return table("left-out", ["group", "seed", "why", "run"], rows)


def moment(text: object) -> str:
    """`2026-01-02 03:04 UTC` of an ISO 8601 time."""
    zone = " UTC" if str(text).endswith("+00:00") else ""
    return str(text)[:16].replace("T", " ") + zone if text else NONE


def _group(looks: Looks, name: str, tags: Child = None) -> Cell:
    """The first cell of a group's row."""
    # A long name is broken behind such signs rather than in the middle of a word.
    first, *rest = _BREAKS.split(name)
    words = [first, *([tag("wbr"), word] for word in rest)]
    who = tag("span", swatch(looks[name]), tag("span", words), class_="who")
    return Cell([who, tags], css="group")


def _tags(comparison: Comparison, g: Group) -> Child:
    words = ["baseline"] * (g.name == comparison.baseline) + ["best mean"] * g.best
    return [tag("span", word, class_="tag") for word in words]


def _setting(g: Group, key: str) -> Cell:
    value = g.settings.get(key)
    number = float(value) if isinstance(value, int | float) else None
    return Cell(NONE if value is None else shown(value), number, "words")

"""The page: the answer first, then what it rests on."""

import base64
import hashlib
from collections.abc import Mapping
from importlib.resources import files

from cnnlab.tracking.comparison import Comparison
from cnnlab.tracking.grids import COST_TITLES, running_time
from cnnlab.tracking.report import tables
from cnnlab.tracking.report.answer import answer, heading, questions
from cnnlab.tracking.report.charts import costs, curves, differences, errors
from cnnlab.tracking.report.markup import Child, Html, join, tag
from cnnlab.tracking.report.palette import Look, looks


def page(comparison: Comparison) -> str:
    """`comparison` as an HTML document that loads nothing."""
    style = Html((files(__package__) / "style.css").read_text("utf-8"))
    script = Html((files(__package__) / "script.js").read_text("utf-8"))
    own = looks(comparison)
    sections = [
        heading(comparison),
        answer(comparison),
        _warnings(comparison),
        questions(comparison),
        _differences(comparison, own),
        _groups(comparison, own),
        _section("edf", "Distribution of errors", errors(comparison, own)),
        _section("curves", "Learning curves", curves(comparison, own)),
        _section("costs", f"{comparison.metric} against cost", costs(comparison, own)),
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


def _section(id: str, title: str, first: Child, *content: Child) -> Html | None:
    """With its title; nothing where there is no `first`."""
    return tag("section", tag("h2", title), first, content, id=id) if first else None


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
    figures = tag("details", tag("summary", "the figures"), tables.paired_table(comparison, own))
    title = f"Difference from the baseline, {comparison.baseline}"
    return _section("differences", title, differences(comparison, own), figures)


def _groups(comparison: Comparison, own: Mapping[str, Look]) -> Html | None:
    words = []
    if comparison.baseline is not None:
        words.append(f"Difference and p are against {comparison.baseline}, seed by seed.")
    if any(g.pareto for g in comparison.groups):
        title = COST_TITLES[comparison.cost]
        words.append(f"Front: no other group is as good at less {title}, or better at the same.")
    caption = None
    if len(comparison.groups) > 1:
        caption = tag("p", " ".join(["Press a title to sort.", *words]), class_="caption")
    return _section("groups", "All groups", tables.groups_table(comparison, own), caption)


def _config(comparison: Comparison, own: Mapping[str, Look]) -> Html | None:
    if not comparison.differs:
        return None
    words = tag(
        "p",
        "What is not listed is the same in all groups, seeds and the machine's settings aside. The "
        "name of a config group, such as model, stands for all that its file sets.",
        class_="caption",
    )
    return _section("config", "What differs", tables.settings_table(comparison, own), words)


def _basis(comparison: Comparison) -> Html | None:
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
        "running time": f"{running_time(meta.total_s)} in all" if meta.total_s else "",
    }
    rows = [join([tag("dt", key), tag("dd", text)]) for key, text in facts.items() if text]
    return _section("basis", "How it was run", tag("dl", rows, class_="basis"))


def _runs(comparison: Comparison, own: Mapping[str, Look]) -> Html | None:
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
    return _section("runs", "Runs", [left if out else None, used])

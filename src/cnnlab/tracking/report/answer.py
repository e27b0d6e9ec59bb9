"""The answer in plain words, before any figure: verdicts, or what can be said without a claim."""

import re
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from cnnlab.tracking.comparison import Comparison, Group, Paired
from cnnlab.tracking.report.figure import figure
from cnnlab.tracking.report.forest import Row, forest
from cnnlab.tracking.report.markup import Html, tag
from cnnlab.tracking.report.units import CORRELATION, Unit, p_text

if TYPE_CHECKING:
    from cnnlab.tracking.contrasts import Outcome, Verdict

_SIGNS: "dict[Outcome, str]" = {"supported": "✓", "contradicted": "✗", "not resolved": "?"}
_MEANING: "dict[Outcome, str]" = {
    "supported": "the runs agree with the claim",
    "contradicted": "the runs show the opposite of the claim",
    "not resolved": "the runs are too few or too noisy to tell",
}
_FACTS = re.compile(r" \((?=95 % |n = )")
"""Where a verdict's sentence goes over from the finding to its figures."""


def heading(comparison: Comparison) -> Html:
    """What was asked, and what the answer is in one line."""
    ablation = comparison.ablation
    parts = [tag("p", _asked(comparison), class_="eyebrow")]
    if ablation is None:
        parts.append(tag("h1", comparison.meta.title))
        return tag("header", parts)
    parts.append(tag("p", "Claim", class_="eyebrow claim"))
    parts.append(tag("h1", str(ablation.get("claim"))))
    if ablation.get("source"):
        parts.append(tag("p", f"Source: {ablation['source']}", class_="source"))
    return tag("header", parts)


def answer(comparison: Comparison) -> Html:
    """The one verdict, or a line for each of several; without any, the best group."""
    verdicts = comparison.verdicts
    if not verdicts:
        first = [_without_claim(comparison)]
    elif len(verdicts) == 1:
        first = [_card(verdicts[0], comparison, len(comparison.warnings))]
    else:
        counts = Counter(verdict.outcome for verdict in verdicts)
        words = ", ".join(f"{counts[own]} {own}" for own in _SIGNS if counts[own])
        lines = [_line(verdict, comparison) for verdict in verdicts]
        first = [
            tag("p", f"Put to the runs as {len(verdicts)} questions: {words}.", class_="sum"),
            tag("ul", lines, class_="summary"),
        ]
    return tag("section", first, aria_label="answer")


def questions(comparison: Comparison) -> Html | None:
    """A card for each of several verdicts."""
    if len(comparison.verdicts) < 2:
        return None
    cards = [_card(verdict, comparison) for verdict in comparison.verdicts]
    return tag("section", tag("h2", "Question by question"), cards, id="verdicts")


def _asked(comparison: Comparison) -> str:
    meta = comparison.meta
    runs = f"{meta.used} run{'s' * (meta.used != 1)}"
    better = "" if comparison.higher_is_better else " (lower is better)"
    title = f"{meta.title} · " if comparison.ablation is not None else ""
    groups = len(comparison.groups)
    return f"{title}{comparison.metric}{better} · {runs} in {groups} group{'s' * (groups != 1)}" + (
        f" · {', '.join(meta.data)}" if meta.data else ""
    )


def _line(verdict: "Verdict", comparison: Comparison) -> Html:
    unit = _unit(verdict, comparison)
    sure = [f"95 % {unit.between(verdict.interval)}"] if verdict.interval else []
    known = ", ".join([*sure, f"n = {verdict.n}"])
    effects = [f"measured {unit.change(verdict.estimate)} ({known})"]
    if verdict.published is not None:
        effects.append(f"published {unit.change(verdict.published)}")
    if verdict.n_to_resolve is not None:
        effects.append(f"about {verdict.n_to_resolve} seeds would resolve it")
    return tag(
        "li",
        _sign(verdict),
        tag(
            "div",
            tag("strong", verdict.outcome.capitalize()),
            tag("span", verdict.contrast.name, class_="question"),
        ),
        tag(
            "div",
            tag("span", _parts(verdict)[0], class_="finding"),
            tag("p", [tag("span", words) for words in effects], class_="effects"),
        ),
        class_=_css(verdict),
    )


def _card(verdict: "Verdict", comparison: Comparison, warnings: int = 0) -> Html:
    """All of a verdict; `warnings` are counted in it where they stand far below its outcome."""
    unit = _unit(verdict, comparison)
    finding, facts = _parts(verdict)
    badge = tag(
        "p",
        _sign(verdict),
        tag("strong", verdict.outcome.capitalize()),
        tag("span", _MEANING[verdict.outcome], class_="meaning"),
        class_="badge",
    )
    return tag(
        "article",
        tag("p", verdict.contrast.name, class_="question"),
        badge,
        _caution(warnings) if warnings else None,
        tag("p", finding, class_="finding"),
        _figures(verdict, comparison, unit),
        _strip(verdict, comparison, unit),
        tag("p", facts, class_="facts") if facts else None,
        class_=f"verdict {_css(verdict)}",
    )


def _caution(count: int) -> Html:
    words = f"{count} warning{'s' * (count != 1)}: unfair or incomplete"
    return tag("p", "⚠ ", tag("a", words, href="#warnings"), class_="caution")


def _unit(verdict: "Verdict", comparison: Comparison) -> Unit:
    return CORRELATION if verdict.contrast.rank else Unit.of(comparison.metric)


def _css(verdict: "Verdict") -> str:
    return verdict.outcome.replace(" ", "-")


def _sign(verdict: "Verdict") -> Html:
    return tag("span", _SIGNS[verdict.outcome], class_="sign", aria_hidden="true")


def _parts(verdict: "Verdict") -> tuple[str, str]:
    """Of the sentence without its outcome: the finding, and the figures behind it."""
    words = verdict.sentence.removeprefix(f"{verdict.outcome}: ")
    found = _FACTS.search(words)
    return (words[: found.start()], words[found.start() + 1 :]) if found else (words, "")


def _figures(verdict: "Verdict", comparison: Comparison, unit: Unit) -> Html:
    """Measured and published, side by side."""
    alone = " of this question alone" if len(comparison.verdicts) > 1 else ""
    spread = f"95 % interval{alone} {unit.between(verdict.interval)}" if verdict.interval else ""
    seeds = f"{verdict.n} seed{'s' * (verdict.n != 1)}"
    ours = tag(
        "dd",
        tag("b", unit.change(verdict.estimate)),
        tag("small", ", ".join(filter(None, (spread, seeds)))),
    )
    effect = comparison.published.get(verdict.contrast.name)
    if effect is None:
        where = "nothing published is named for this"
    elif effect.value is None:
        where = f"nothing to compare with: {effect.missing}"
    else:
        where = ", ".join(filter(None, (effect.metric, effect.dataset, effect.note)))
    theirs = tag("dd", tag("b", unit.change(verdict.published)), tag("small", where))
    return tag(
        "dl",
        tag("div", tag("dt", "measured here"), ours),
        tag("div", tag("dt", "published"), theirs),
        class_="figures",
    )


def _strip(verdict: "Verdict", comparison: Comparison, unit: Unit) -> Html | None:
    if verdict.estimate is None:
        return None

    def scaled(value: float) -> float:
        return value * unit.scale

    row = Row(
        label="",
        text="",
        mean=scaled(verdict.estimate),
        interval=verdict.interval and (scaled(verdict.interval[0]), scaled(verdict.interval[1])),
        dots=[scaled(value) for value in verdict.by_seed.values()],
        published=None if verdict.published is None else scaled(verdict.published),
    )
    positive = verdict.contrast.expect == "positive"
    sides = ("against", "as claimed")
    title = (
        "correlation"
        if verdict.contrast.rank
        else unit.titled_change(f"effect on {comparison.metric}")
    )
    draw = partial(
        forest,
        [row],
        title=title,
        sides=sides if positive else (sides[1], sides[0]),
        good=1 if positive else -1,
        name=f"{verdict.contrast.name}: effect of each seed, mean and interval",
    )
    words = [
        "◆\u00a0mean",
        "●\u00a0one seed",
        *["bar: 95 % interval"] * (verdict.interval is not None),
    ]
    words += ["▽\u00a0published"] * (verdict.published is not None)
    return figure(draw, "; ".join(words))


def _without_claim(comparison: Comparison) -> Html:
    """The best group and how it compares; no verdict, and why there is none."""
    unit = Unit.of(comparison.metric)
    known = [g for g in comparison.groups if g.mean is not None]
    best = next((g for g in known if g.best), known[0] if known else None)
    paired = {p.group: p for p in comparison.paired}
    if best is None:
        words = "No group has a value."
    elif len(comparison.groups) == 1:
        words = f"{best.name}: {comparison.metric} is {unit.value(best.mean)}{_spread(best, unit)}."
    else:
        words = f"{best.name} has the best mean {comparison.metric}: {unit.value(best.mean)}."
    lines = [tag("p", words, class_="finding")]
    if len(comparison.groups) == 1:
        lines.append(tag("p", "One group only: there is nothing to compare it with."))
    elif best is not None and best.name == comparison.baseline:
        lines.append(tag("p", "It is the baseline itself; the differences are below."))
    elif best is not None and best.name in paired:
        lines.append(tag("p", _against(paired[best.name], unit)))
    if len(comparison.groups) > 1:
        why = comparison.no_verdict or "no claim was written down before the runs"
        lines.append(tag("p", f"No verdict: {why}.", class_="facts"))
    return tag("article", lines, class_="verdict no-claim")


def _spread(g: Group, unit: Unit) -> str:
    if g.interval is None:
        return f", {g.n} seed{'s' * (g.n != 1)}"
    return f" (95 % interval {unit.between(g.interval)} over {g.n} seeds)"


def _against(paired: Paired, unit: Unit) -> str:
    """In words, with what keeps it from being one."""
    if paired.mean is None:
        return f"It shares no seed with the baseline, {paired.baseline}: no paired difference."
    words = f"That is {unit.change(paired.mean)} against the baseline, {paired.baseline}"
    if paired.interval is None:
        return f"{words}, over {paired.n} shared seed{'s' * (paired.n != 1)}: no interval, no test."
    return (
        f"{words} (95 % interval {unit.between(paired.interval)}, {paired.n} shared seeds, "
        f"p {_is(paired.p_holm)} after Holm over all groups)."
    )


def _is(p: float | None) -> str:
    text = p_text(p)
    return text if text.startswith("<") else f"= {text}"

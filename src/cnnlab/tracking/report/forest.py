"""Effects with their intervals, one below the other (a forest plot), and a dot for every seed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cnnlab.tracking.report.axes import Axis, bottom
from cnnlab.tracking.report.labels import CHARACTER, cut
from cnnlab.tracking.report.markup import Html, tag
from cnnlab.tracking.report.palette import mark

_SIDE_BY_SIDE = 600
"""Width from which on names stand beside their row, not above it."""
_MOST_BEYOND = 1.0
"""How far an interval may widen the axis beyond the dots, as a share of their range: that of two
seeds is so wide that nothing else could be seen. What goes on has an arrow."""


@dataclass(frozen=True)
class Row:
    """An effect, in the unit of the axis.

    Attributes:
        label: its name; "" where there is one row and all else says what it is.
        text: the figures, beside it.
        mean, interval: None where there is none.
        dots: of the seeds.
        published: None where nothing is.
        css: colour.
        shape: of the mean.
        index: of its group; None where it is of no single one.
    """

    label: str
    text: str
    mean: float | None
    interval: tuple[float, float] | None
    dots: Sequence[float]
    published: float | None = None
    css: str = "c0"
    shape: str = "diamond"
    index: int | None = None


def forest(
    rows: Sequence[Row], width: int, title: str, *, sides: tuple[str, str], good: int, name: str
) -> Html:
    """The chart.

    Args:
        rows: from top to bottom.
        width: in pixels; of a narrow chart the names stand above the rows.
        title: of the axis, with its unit.
        sides: words for below zero and above.
        good: the side of zero that is shaded, -1 or 1; 0: neither.
        name: what is shown, for who cannot see it.
    """
    named = any(row.label for row in rows)
    beside = named and width >= _SIDE_BY_SIDE
    above = 12.0 * any(row.published is not None for row in rows) + 20.0 * (named and not beside)
    first, last = (210.0, width - 190.0) if beside else (14.0, width - 14.0)
    tall, top = 34.0 + above, 24.0
    base = top + tall * len(rows) + 4
    axis = _axis(rows, first, last, CHARACTER * (max(map(len, sides)) + 2) + 8)
    zero = axis(0.0)
    parts: list[Html] = []
    if good:
        x, end = (zero, last) if good > 0 else (first, zero)
        parts.append(tag("rect", x=x, y=top, width=end - x, height=base - top, class_="good"))
    parts.append(bottom(axis, top, base, title, 8 if width >= _SIDE_BY_SIDE else 5))
    parts.append(tag("line", x1=zero, x2=zero, y1=top - 4, y2=base, class_="zero"))
    parts += _sides(sides, zero)
    labels = [row.label for row in rows]
    for place, row in enumerate(rows):
        y = top + tall * place + above + 13
        own = [_name(row, beside, named, y, width, labels), *_effect(row, axis, y)]
        if row.published is not None:
            x = axis(row.published)
            own.append(tag("path", d=f"M{x:.1f} {y - 7:.1f}l6.5 -10h-13Z", class_="published"))
        parts.append(tag("g", own, class_=row.css, data_group=row.index))
    size = f"0 0 {width} {base + 42:.0f}"
    return tag("svg", parts, viewBox=size, width=width, role="img", aria_label=name)


def _axis(rows: Sequence[Row], first: float, last: float, side: float) -> Axis:
    """Around zero, all dots, means and published effects, and the intervals as far as they may.

    At each side of zero there are `side` pixels at least, for the words there.
    """
    sure = [0.0, *(dot for row in rows for dot in row.dots)]
    sure += [row.published for row in rows if row.published is not None]
    sure += [row.mean for row in rows if row.mean is not None]
    low, high = min(sure), max(sure)
    room = (high - low) * _MOST_BEYOND
    for row in rows:
        if row.interval is not None:
            sure += [max(row.interval[0], low - room), min(row.interval[1], high + room)]
    room = (max(sure) - min(sure) or 1.0) * 0.04
    low, high = min(sure) - room, max(sure) + room
    share = min(0.45, side / (last - first))
    least = share / (1 - share)
    return Axis(min(low, -least * high), max(high, -least * low), first, last)


def _sides(words: tuple[str, str], zero: float) -> list[Html]:
    found = []
    for text, x, anchor in (
        (f"← {words[0]}", zero - 6, "end"),
        (f"{words[1]} →", zero + 6, "start"),
    ):
        found.append(tag("text", text, x=x, y=14, text_anchor=anchor, class_="side"))
    return found


def _name(
    row: Row, beside: bool, named: bool, y: float, width: int, among: Sequence[str]
) -> Html | None:
    if not named:
        return None
    high = y + 5 if beside else y - 13
    room = 200.0 if beside else width - 20 - CHARACTER * len(row.text)
    short = cut(row.label, room, among)
    label = tag("text", tag("title", row.label), short, x=4, y=high, class_="name")
    text = tag("text", row.text, x=width - 4, y=high, text_anchor="end", class_="figure")
    return tag("g", label, text)


def _effect(row: Row, axis: Axis, y: float) -> list[Html]:
    parts = []
    if row.interval is not None:
        low, high = (min(max(end, axis.low), axis.high) for end in row.interval)
        x1, x2 = axis(low), axis(high)
        parts.append(tag("line", x1=x1, x2=x2, y1=y, y2=y, class_="interval"))
        for x, end, inside, way in ((x1, 0, low, -1), (x2, 1, high, 1)):
            shape = "M{0:.1f} {1:.1f}v10" if inside == row.interval[end] else _ARROW[way]
            parts.append(tag("path", d=shape.format(x, y - 5), class_="end"))
    # Below the bar, which would hide them.
    parts += [tag("circle", cx=axis(dot), cy=y + 13, r=3.5, class_="dot") for dot in row.dots]
    if row.mean is not None and math.isfinite(row.mean):
        parts.append(mark(row.shape, axis(row.mean), y))
    return parts


_ARROW = {-1: "M{0:.1f} {1:.1f}l-6 5l6 5", 1: "M{0:.1f} {1:.1f}l6 5l-6 5"}

"""Axes of charts: from values to pixels, and round numbers to mark them with."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from cnnlab.tracking.report.markup import Html, tag

_LOG_FROM = 30.0
"""Greatest over least from which on an axis of costs is logarithmic."""


@dataclass(frozen=True)
class Axis:
    """`low` lies at pixel `start`, `high` at `end`; up the page where `end` is less."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    @classmethod
    def around(
        cls,
        values: Iterable[float],
        start: float,
        end: float,
        *,
        margin: float = 0.05,
        may_be_log: bool = False,
    ) -> "Axis":
        """An axis with room for all finite `values` and a `margin`, a share of their range."""
        known = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
        low, high = min(known), max(known)
        if may_be_log and low > 0 and high / low > _LOG_FROM:
            grow = (high / low) ** margin
            return cls(low / grow, high * grow, start, end, True)
        room = (high - low) * margin or abs(high) * 0.05 or 1.0
        return cls(low - room, high + room, start, end)

    def __call__(self, value: float) -> float:
        """The pixel of `value`."""
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def ticks(self, most: int) -> list[tuple[float, str]]:
        """At most about `most` round values within the axis, and how to write them."""
        if self.log:
            exponents = range(
                math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1
            )
            for digits in ((1, 2, 5), (1, 3), (1,)):
                marks = [d * 10.0**e for e in exponents for d in digits]
                marks = [mark for mark in marks if self.low <= mark <= self.high]
                if len(marks) <= most:
                    break
            return [(mark, f"{mark:g}") for mark in marks]
        rough = (self.high - self.low) / most
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * d for d in (1, 2, 5, 10) if power * d >= rough * 0.999)
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        marks = [index * step for index in range(first, last + 1)]
        if max(abs(self.low), abs(self.high)) >= 1e5 or decimals > 6:
            return [(mark, f"{mark:.3g}") for mark in marks]
        return [(mark, f"{mark:.{decimals}f}") for mark in marks]


def bottom(axis: Axis, top: float, base: float, title: str, most: int) -> Html:
    """Marks and title below the plot, which lies from `top` to `base`."""
    parts = []
    for value, text in axis.ticks(most):
        x = axis(value)
        parts.append(tag("line", x1=x, x2=x, y1=top, y2=base, class_="grid"))
        parts.append(tag("text", text, x=x, y=base + 16, text_anchor="middle", class_="tick"))
    middle = (axis.start + axis.end) / 2
    parts.append(tag("text", title, x=middle, y=base + 34, text_anchor="middle", class_="title"))
    return tag("g", parts)


def left(axis: Axis, first: float, last: float, title: str, most: int) -> Html:
    """Marks beside the plot, which lies from `first` to `last`, and the title above them."""
    parts = []
    for value, text in axis.ticks(most):
        y = axis(value)
        parts.append(tag("line", x1=first, x2=last, y1=y, y2=y, class_="grid"))
        parts.append(tag("text", text, x=first - 6, y=y + 4, text_anchor="end", class_="tick"))
    parts.append(tag("text", title, x=4, y=axis.end - 10, class_="title"))
    return tag("g", parts)

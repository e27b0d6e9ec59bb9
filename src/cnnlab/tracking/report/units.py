"""Numbers of a metric as a reader expects them: shares in percent, their differences in points."""

import math
from dataclasses import dataclass

from cnnlab.tracking.grids import NONE
from cnnlab.tracking.verdict_sentence import is_share


@dataclass(frozen=True)
class Unit:
    """How values of one metric are shown.

    Attributes:
        scale: what a value is multiplied by before it is shown or drawn.
        level: behind a value.
        difference: behind a difference of values.
        decimals: None: four digits.
    """

    scale: float
    level: str
    difference: str
    decimals: int | None

    @classmethod
    def of(cls, metric: str) -> "Unit":
        """Percent for a share of 1, else the number as it is."""
        return cls(100.0, " %", " points", 2) if is_share(metric) else cls(1.0, "", "", None)

    def number(self, value: float | None, signed: bool = False) -> str:
        """Without its unit; what would round to nothing has its first digit."""
        if value is None or not math.isfinite(value):
            return NONE
        sign, shown = "+" if signed else "", value * self.scale
        if self.decimals is None:
            return f"{shown:{sign}.4g}"
        if shown and abs(shown) < 0.5 * 10**-self.decimals:
            return f"{shown:{sign}.1g}"
        return f"{shown:{sign}.{self.decimals}f}"

    def value(self, value: float | None) -> str:
        """`91.00 %`."""
        text = self.number(value)
        return text if text == NONE else text + self.level

    def change(self, value: float | None) -> str:
        """`+0.61 points`."""
        text = self.number(value, signed=True)
        return text if text == NONE else text + self.difference

    def between(self, interval: tuple[float, float] | None) -> str:
        """`0.22 to 1.00`."""
        if interval is None:
            return NONE
        return f"{self.number(interval[0])} to {self.number(interval[1])}"

    def half(self, interval: tuple[float, float] | None) -> str:
        """Half of the width, without its unit."""
        return NONE if interval is None else self.number((interval[1] - interval[0]) / 2)

    def titled(self, metric: str) -> str:
        """`test/top1, %`: of an axis or a column."""
        return f"{metric},{self.level}" if self.level else metric

    def titled_change(self, words: str) -> str:
        """`difference, points`: of an axis or a column of differences."""
        return f"{words},{self.difference}" if self.difference else words


CORRELATION = Unit(1.0, "", "", 2)


def p_text(p: float | None) -> str:
    """Three decimals; `< 0.001` below."""
    if p is None or not math.isfinite(p):
        return NONE
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def cost_text(value: float | None) -> str:
    """Four digits."""
    if value is None or not math.isfinite(value):
        return NONE
    return f"{value:#.4g}".rstrip(".") if abs(value) < 1e4 else f"{value:,.0f}"

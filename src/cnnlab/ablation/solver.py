"""The whole number whose cost comes nearest a target: bracketed, narrowed, seen from both sides.

Knows nothing of nets: a cost is a function of whole numbers that mostly grows, or mostly falls.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

MOST = 2**20
"""The largest value that is tried."""
MOST_TRIED = 1000
"""Values, nearly all of them not possible, after which a search ends with what it knows."""
GAP = 64
"""Possible values lie at most so far apart (multiples of a number of groups, depths 9n + 2)."""
FLAT = 6
"""So many doublings, or halvings, without any effect on the cost: it does not depend on it."""
NEIGHBOURS = 8
"""How far beyond the two candidates the search looks where costs there are out of order."""


class InvalidValue(Exception):
    """Raised by a cost function: there is nothing of this value. The text says why."""


class NoSolutionError(Exception):
    """No value is possible, or the cost does not depend on the value."""


@dataclass(frozen=True)
class Point:
    """A value and what it costs."""

    value: int
    cost: float


@dataclass(frozen=True)
class Solution:
    """The value whose cost is nearest, and the nearest of those tried on either side.

    Attributes:
        best: of two that are equally near, the cheaper; of equal costs, the smaller value tried.
        below: the nearest that costs less than the target; None: none does.
        above: the nearest that costs more; None: none does.
    """

    best: Point
    below: Point | None
    above: Point | None


def solve(
    cost: Callable[[int], float],
    target: float,
    *,
    start: int,
    noise: float = 0.0,
) -> Solution:
    """The value of 1 ... `MOST` whose cost is nearest `target`.

    From `start` the value is doubled (or halved) until the target lies between two costs. Then that
    interval is narrowed until no possible value is left inside. What lies beside the two ends is
    tried, too, as long as costs are equal or out of order there: rounding (to multiples of 8, say)
    makes plateaus and small reversals. A start that costs what is wanted is the solution.

    Args:
        cost: called at most once for each value; above 0.
        target: above 0.
        start: the first value tried, at least 1.
        noise: costs that differ by less than this share of the first say nothing about whether
            costs grow or fall.

    Raises:
        NoSolutionError: see there. A target that is out of reach is none: the solution is the
            nearest, and one of its sides is None.
    """
    search = _Search(cost, target, noise)
    search.run(start)
    return search.solution()


class _Search:
    def __init__(self, cost: Callable[[int], float], target: float, noise: float) -> None:
        self.cost, self.target, self.noise = cost, target, noise
        self.known: dict[int, float] = {}
        self.invalid: dict[int, str] = {}

    def run(self, start: int) -> None:
        start = min(start, MOST)
        here = self._first(_outward(start, max(1, start - GAP), min(start + GAP, MOST)))
        if here is None:
            why = next(iter(self.invalid.values()))
            tried = len(self.invalid)
            raise NoSolutionError(f"none of {tried} values is possible; of the first: {why}")
        if self.known[here] == self.target:
            return
        self.grows = self._grows(here)
        low, high = self._bracket(here)
        if low is not None and high is not None:
            low, high = self._narrow(low, high)
        if self.target not in self.known.values():
            self._beside(low, -1)
            self._beside(high, 1)

    def solution(self) -> Solution:
        points = [Point(value, cost) for value, cost in self.known.items()]
        ranked = sorted(points, key=lambda p: (abs(p.cost - self.target), p.cost, p.value))
        below = next((p for p in ranked if p.cost < self.target), None)
        above = next((p for p in ranked if p.cost > self.target), None)
        return Solution(ranked[0], below, above)

    # Single values -----------------------------------------------------------------------------

    def _is_possible(self, value: int) -> bool:
        if value not in self.known and value not in self.invalid:
            try:
                self.known[value] = self.cost(value)
            except InvalidValue as error:
                self.invalid[value] = str(error)
        return value in self.known

    def _first(self, values: Iterable[int]) -> int | None:
        """The first that is possible; None too when enough has been tried."""
        for value in values:
            is_new = value not in self.known and value not in self.invalid
            if is_new and len(self.known) + len(self.invalid) >= MOST_TRIED:
                return None
            if self._is_possible(value):
                return value
        return None

    def _is_low(self, value: int) -> bool:
        """Whether the solution is a larger value."""
        return (self.known[value] < self.target) == self.grows

    # Steps of the search -----------------------------------------------------------------------

    def _doubled(self, value: int) -> int | None:
        """About twice the value; where nothing is possible there, the most that is."""
        twice = 2 * value
        beyond = self._first(range(twice, min(twice + GAP, MOST + 1)))
        return beyond or self._first(range(min(twice, MOST + 1) - 1, value, -1))

    def _halved(self, value: int) -> int | None:
        """About half the value; where nothing is possible there, the least that is."""
        half = value // 2
        return self._first(range(half, 0, -1)) or self._first(range(half + 1, value))

    def _grows(self, here: int) -> bool:
        """Whether a larger value costs more, from the first that costs anything else.

        Raises:
            NoSolutionError: all cost the same.
        """
        steps = [self._doubled, self._halved]
        if self.known[here] > self.target:  # most costs grow: this way lies the bracket, too
            steps.reverse()
        for step in steps:
            value = here
            for _ in range(FLAT):
                further = step(value)
                if further is None:
                    break
                value = further
                change = self.known[value] - self.known[here]
                if abs(change) > self.noise * self.known[here]:
                    return (change > 0) == (value > here)
        raise NoSolutionError("no value that was tried changes it")

    def _bracket(self, here: int) -> tuple[int | None, int | None]:
        """The last value that is too low and the first that is not; None where there is none."""
        value: int | None = here
        if self._is_low(here):
            low = here
            while (value := self._doubled(low)) is not None:
                if not self._is_low(value):
                    return low, value
                low = value
            return low, None
        high = here
        while (value := self._halved(high)) is not None:
            if self._is_low(value):
                return value, high
            high = value
        return None, high

    def _narrow(self, low: int, high: int) -> tuple[int, int]:
        """Until nothing possible is left between the two."""
        for turn in range(MOST_TRIED):
            if self.target in (self.known[low], self.known[high]):
                break
            # Costs are nearly powers of widths, so that guess is good; halving bounds the rest.
            guess = (low + high) // 2 if turn % 3 == 2 else self._guess(low, high)
            value = self._first(_outward(guess, low + 1, high - 1))
            if value is None:
                break
            if self._is_low(value):
                low = value
            else:
                high = value
        return low, high

    def _guess(self, low: int, high: int) -> int:
        """Where a power law through both ends meets the target."""
        ends, wanted = (self.known[low], self.known[high]), self.target
        if min(*ends, wanted) <= 0 or ends[0] == ends[1]:
            return (low + high) // 2
        share = math.log(wanted / ends[0]) / math.log(ends[1] / ends[0])
        return round(low * (high / low) ** share)

    def _beside(self, edge: int | None, step: int) -> None:
        """On from an end of the bracket, as long as costs are equal or out of order."""
        for _ in range(NEIGHBOURS):
            if edge is None:
                return
            values = range(edge + step, edge + step * (NEIGHBOURS + 1), step)
            value = self._first(v for v in values if 1 <= v <= MOST)
            if value is not None:
                change = self.known[value] - self.known[edge]
                if change and (change > 0) == (self.grows == (step > 0)):
                    return
            edge = value


def _outward(middle: int, least: int, most: int) -> Iterator[int]:
    """All of least ... most, the nearest to `middle` first."""
    if least > most:
        return
    middle = min(max(middle, least), most)
    yield middle
    for distance in range(1, max(middle - least, most - middle) + 1):
        if middle + distance <= most:
            yield middle + distance
        if middle - distance >= least:
            yield middle - distance

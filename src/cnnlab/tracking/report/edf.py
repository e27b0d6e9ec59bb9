"""How the errors of sets of nets are distributed: of each set the share at or below each error.

The empirical distribution function F(e) by which Radosavovic et al. (2019, arXiv:1905.13214; 2020,
arXiv:2003.13678, Eq. 1) compare design spaces. A net is an arm; its error is the mean over seeds.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from cnnlab.tracking.comparison import Comparison, Group
from cnnlab.tracking.report.axes import Axis, bottom, left
from cnnlab.tracking.report.labels import CHARACTER, cut, spread
from cnnlab.tracking.report.markup import Html, tag
from cnnlab.tracking.report.palette import Look, mark, nth
from cnnlab.tracking.report.units import Unit


@dataclass(frozen=True)
class Distribution:
    """Of a set of nets.

    Attributes:
        name: of the set.
        nets: their groups and errors, the least first, in the unit of the metric.
        missing: arms of the set of which no run counts.
    """

    name: str
    nets: list[tuple[Group, float]]
    missing: list[str]

    @property
    def median(self) -> float:
        return statistics.median(error for _, error in self.nets)

    def steps(self) -> list[tuple[float, float]]:
        """Each error once, and the share of the nets that are at or below it."""
        count = len(self.nets)
        shares = {error: (i + 1) / count for i, (_, error) in enumerate(self.nets)}
        return list(shares.items())


def distributions(comparison: Comparison) -> list[Distribution]:
    """Of the sets that the ablation file names (`edf`); sets of which no run counts are left out.

    The error is 1 - metric where the metric is a share that is better high, else the metric.
    """
    named: Mapping[str, Sequence[str]] = (comparison.ablation or {}).get("edf") or {}
    groups = {g.name: g for g in comparison.groups if g.mean is not None}
    found = []
    for name, arms in named.items():
        nets = [(groups[a], _error(comparison, groups[a])) for a in arms if a in groups]
        missing = [arm for arm in arms if arm not in groups]
        found.append(Distribution(name, sorted(nets, key=lambda net: net[1]), missing))
    return [one for one in found if one.nets]


def is_error(comparison: Comparison) -> bool:
    """Whether what is drawn is 1 - metric."""
    return comparison.higher_is_better and Unit.of(comparison.metric).level != ""


def edf(
    sets: Sequence[Distribution], looks: Mapping[str, Look], width: int, *, title: str, unit: Unit
) -> Html:
    """The chart: a line of steps a set, and a mark on it a net.

    Args:
        sets: each with a net at least.
        looks: by group; a mark is lit with its group.
        width: in pixels.
        title: of the axis of errors, with its unit.
        unit: of an error.
    """
    wide = width > 500
    longest = CHARACTER * max(len(one.name) for one in sets)
    room = 24 + min(longest, 180.0 if wide else 72.0)
    top, base, first, last = 30.0, 340.0 if wide else 270.0, 56.0, width - room
    errors = [error * unit.scale for one in sets for _, error in one.nets]
    x, y = Axis.around(errors, first, last), Axis(0.0, 100.0, base, top)
    parts = [
        left(y, first, last, "nets at or below, %", 5),
        bottom(x, top, base, title, 8 if wide else 4),
    ]
    for place, one in enumerate(sets):
        parts.append(_set(one, nth(place), looks, x, y, unit.scale))
    for place, high in enumerate(spread([top] * len(sets), 16.0, top, base)):
        own, look = sets[place], nth(place)
        label = tag("title", own.name), cut(own.name, room - 22)
        text = tag("text", *label, x=last + 20, y=high + 4, class_="name")
        parts.append(tag("g", mark(look.shape, last + 10, high), text, class_=look.css))
    size = f"0 0 {width} {base + 42:.0f}"
    name = "share of the nets of each set at or below an error"
    return tag("svg", parts, viewBox=size, width=width, role="img", aria_label=name)


def _set(
    one: Distribution, look: Look, looks: Mapping[str, Look], x: Axis, y: Axis, scale: float
) -> Html:
    points = [(x(error * scale), y(100 * share)) for error, share in one.steps()]
    path = f"M{x.start:.1f} {y.start:.1f}H{points[0][0]:.1f}V{points[0][1]:.1f}"
    path += "".join(f"H{right:.1f}V{high:.1f}" for _, (right, high) in pairwise(points))
    line = tag("path", d=f"{path}H{x.end:.1f}", class_="line", stroke_dasharray=look.dash)
    marks = []
    for place, (group, error) in enumerate(one.nets):
        high = y(100 * (place + 1) / len(one.nets))
        net = tag("title", group.name), mark(look.shape, x(error * scale), high, 4.0)
        marks.append(tag("g", *net, data_group=looks[group.name].index))
    return tag("g", tag("title", one.name), line, marks, class_=look.css)


def _error(comparison: Comparison, group: Group) -> float:
    assert group.mean is not None
    return 1 - group.mean if is_error(comparison) else group.mean

"""The metric of groups against a cost, with the Pareto front."""

from collections.abc import Mapping, Sequence

from cnnlab.tracking.comparison import Group
from cnnlab.tracking.report.axes import Axis, bottom, left
from cnnlab.tracking.report.front import front
from cnnlab.tracking.report.labels import CHARACTER, cut
from cnnlab.tracking.report.markup import Html, tag
from cnnlab.tracking.report.palette import Look, mark
from cnnlab.tracking.report.units import Unit

_MOST_NAMED = 12
"""Groups that all have their names in the chart; of more only those that stand out."""


def scatter(
    groups: Sequence[Group],
    looks: Mapping[str, Look],
    width: int,
    *,
    cost: str,
    title: str,
    metric: str,
    higher_is_better: bool,
) -> Html:
    """The chart.

    Args:
        groups: with a mean and this cost.
        looks: by group.
        width: in pixels.
        cost: short name.
        title: of the cost, with its unit.
        metric: its key; decides the unit.
        higher_is_better: which way the front runs.
    """
    wide, unit = width > 500, Unit.of(metric)
    top, base, first, last = 30.0, 350.0 if wide else 290.0, 56.0, width - 16.0
    means = {g.name: (g.mean or 0.0) * unit.scale for g in groups}
    ends = [end * unit.scale for g in groups for end in (g.interval or ())]
    x = Axis.around([g.cost[cost] or 0.0 for g in groups], first, last, margin=0.1, may_be_log=True)
    y = Axis.around([*means.values(), *ends], base, top)
    best = front(groups, cost, higher_is_better)
    parts = [
        left(y, first, last, unit.titled(metric), 7),
        bottom(x, top, base, title + (" (logarithmic)" if x.log else ""), 8 if wide else 4),
        _stairs([(x(g.cost[cost] or 0.0), y(means[g.name])) for g in best], last),
    ]
    taken: list[tuple[float, float, float, float]] = []
    on_top = sorted(groups, key=lambda g: looks[g.name].stands_out)
    for g in on_top:
        px, py = x(g.cost[cost] or 0.0), y(means[g.name])
        taken.append((px - 6, py - 6, px + 6, py + 6))
    for g in on_top:
        look, px, py = looks[g.name], x(g.cost[cost] or 0.0), y(means[g.name])
        own = [tag("title", f"{g.name}: {unit.value(g.mean)}")]
        if g.interval is not None and look.stands_out:
            low, high = (y(end * unit.scale) for end in g.interval)
            own.append(tag("line", x1=px, x2=px, y1=low, y2=high, class_="whisker"))
        own.append(mark(look.shape, px, py))
        if look.stands_out or len(groups) <= _MOST_NAMED:
            own.append(_name(g.name, px, py, taken, (first, last, top, base)))
        parts.append(tag("g", own, class_=look.css, data_group=look.index))
    size, name = f"0 0 {width} {base + 42:.0f}", f"{metric} against {title}, one point a group"
    return tag("svg", parts, viewBox=size, width=width, role="img", aria_label=name)


def _stairs(points: Sequence[tuple[float, float]], last: float) -> Html | None:
    """What can be had at each cost: level until the next group on the front."""
    if not points:
        return None
    d = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for px, py in points[1:]:
        d += f"H{px:.1f}V{py:.1f}"
    return tag("path", d=f"{d}H{last:.1f}", class_="front")


def _name(
    text: str,
    px: float,
    py: float,
    taken: list[tuple[float, float, float, float]],
    plot: tuple[float, float, float, float],
) -> Html:
    """Beside the point, at the first place where it lies on no other name or point."""
    first, last, top, base = plot
    short = cut(text, min(160.0, (last - first) * 0.45))
    long = CHARACTER * len(short)
    rise = (-12, 12, 0, -26, 26, -40, 40)
    places = [(px + 10 if right else px - 10 - long, py + up) for up in rise for right in (1, 0)]
    boxes = [(a, b - 7, a + long, b + 7) for a, b in places]
    inside = [
        b for b in boxes if b[0] >= first and b[2] <= last and b[1] >= top - 8 and b[3] <= base
    ]
    free = [box for box in inside if not any(_overlap(box, other) for other in taken)]
    left_, high, _, low = (free or inside or boxes)[0]
    taken.append((left_, high, left_ + long, low))
    return tag("text", tag("title", text), short, x=left_, y=(high + low) / 2 + 4, class_="name")


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]

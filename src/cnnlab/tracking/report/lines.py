"""Learning curves of groups: the mean, and a band from the least to the greatest of the runs."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import replace

from cnnlab.tracking.comparison import Curve
from cnnlab.tracking.report.axes import Axis, bottom, left
from cnnlab.tracking.report.labels import CHARACTER, cut, spread
from cnnlab.tracking.report.markup import Html, tag
from cnnlab.tracking.report.palette import Look, mark
from cnnlab.tracking.report.units import Unit

MOST_LINES = 60
"""Groups in a chart; more could not be told apart, and would fill megabytes."""
_LEAST_POINTS = 3
"""Of a second half that is worth a chart."""
_MOST_POINTS = {True: 100, False: 50}
"""Of a curve in a wide and in a narrow chart: a point each few pixels."""


def lines(key: str, curves: Sequence[Curve], looks: Mapping[str, Look], width: int) -> Html:
    """The chart of one history key.

    Args:
        key: such as `val/top1`; decides the unit.
        curves: groups that stand out lie on top and are named.
        looks: by group.
        width: in pixels.
    """
    wide = width > 500
    unit, by_epoch = Unit.of(key), epochs_count(curves)
    named = [curve for curve in curves if looks[curve.group].stands_out]
    longest = CHARACTER * max((len(curve.group) for curve in named), default=0)
    room = 24 + min(longest, 180.0 if wide else 72.0)
    top, base, first, last = 30.0, 340.0 if wide else 270.0, 56.0, width - room
    values = [v * unit.scale for curve in curves for v in (*curve.low, *curve.high)]
    y = Axis.around(values, base, top)
    x = Axis.around([_along(c, by_epoch, i) for c in curves for i in (0, -1)], first, last)
    parts = [
        left(y, first, last, unit.titled(key), 7),
        bottom(x, top, base, "epochs" if by_epoch else "optimizer steps", 8 if wide else 4),
    ]
    back_first = sorted(curves, key=lambda curve: looks[curve.group].stands_out)
    for curve in back_first:
        parts.append(_curve(curve, looks[curve.group], x, y, unit.scale, by_epoch, wide))
    ends = [y(curve.mean[-1] * unit.scale) for curve in named]
    for curve, high in zip(named, spread(ends, 15.0, top, base), strict=True):
        look = looks[curve.group]
        label = tag(
            "text",
            tag("title", curve.group),
            cut(curve.group, room - 22, [other.group for other in named]),
            x=last + 20,
            y=high + 4,
            class_="name",
        )
        parts.append(
            tag(
                "g",
                mark(look.shape, last + 10, high),
                label,
                class_=look.css,
                data_group=look.index,
            )
        )
    size = f"0 0 {width} {base + 42:.0f}"
    name = f"{key} over training, one line a group"
    return tag("svg", parts, viewBox=size, width=width, role="img", aria_label=name)


def drawn(curves: Sequence[Curve], looks: Mapping[str, Look]) -> list[Curve]:
    """At most `MOST_LINES`, those that stand out among them."""
    order = sorted(curves, key=lambda curve: not looks[curve.group].stands_out)[:MOST_LINES]
    kept = {curve.group for curve in order}
    return [curve for curve in curves if curve.group in kept]


def second_half(curves: Sequence[Curve]) -> list[Curve]:
    """The curves from half of the steps on, where they end near one another; none if short."""
    half = max(curve.steps[-1] for curve in curves) / 2
    found = []
    for curve in curves:
        first = bisect_left(curve.steps, half)
        if len(curve.steps) - first >= _LEAST_POINTS:
            parts = {
                name: getattr(curve, name)[first:]
                for name in ("steps", "epochs", "mean", "low", "high")
            }
            found.append(replace(curve, **parts))
    return found


def epochs_count(curves: Sequence[Curve]) -> bool:
    """Whether every curve says how its epochs went on; runs of others may log steps alone."""
    return all(len(c.epochs) == 1 or c.epochs[-1] > c.epochs[0] for c in curves)


def _curve(
    curve: Curve, look: Look, x: Axis, y: Axis, scale: float, by_epoch: bool, wide: bool
) -> Html:
    count = len(curve.steps)
    every = max(1, -(-count // _MOST_POINTS[wide]))
    kept = sorted({*range(0, count, every), count - 1})
    across = [x(_along(curve, by_epoch, i)) for i in kept]

    def path(values: Sequence[float], order: int = 1) -> str:
        points = zip(across, (y(values[i] * scale) for i in kept), strict=True)
        return "L".join(f"{a:.1f} {b:.1f}" for a, b in list(points)[::order])

    parts = [tag("title", curve.group)]
    if curve.n > 1 and look.stands_out:
        band = f"M{path(curve.high)}L{path(curve.low, -1)}Z"
        parts.append(tag("path", d=band, class_="band"))
    if count == 1:
        parts.append(mark(look.shape, across[0], y(curve.mean[0] * scale), 3.5))
    parts.append(tag("path", d=f"M{path(curve.mean)}", class_="line", stroke_dasharray=look.dash))
    return tag("g", parts, class_=look.css, data_group=look.index)


def _along(curve: Curve, by_epoch: bool, index: int) -> float:
    return curve.epochs[index] if by_epoch else float(curve.steps[index])

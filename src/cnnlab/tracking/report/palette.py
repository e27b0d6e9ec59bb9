"""How a group looks in every chart and table: colour, dashes and shape, never colour alone.

The colours are those of Okabe and Ito (2008, "Color Universal Design"), which people with any
colour vision tell apart, less yellow, which is too pale for a line; style.css has them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cnnlab.tracking.comparison import Comparison
from cnnlab.tracking.report.markup import Html, tag

_DASHES = (None, "7 3", "2 3", "9 3 2 3", None, "7 3", "2 3")
_SHAPES = ("disc", "square", "up", "diamond", "down", "plus", "cross")
COLOURED = len(_SHAPES)
"""Groups that stand out; the others are grey."""


@dataclass(frozen=True)
class Look:
    """Of a group.

    Attributes:
        index: of the group in the comparison.
        css: class with its colour; `grey` for a group in the background.
        dash: of its line; None: drawn through.
        shape: of its points.
    """

    index: int
    css: str
    dash: str | None
    shape: str

    @property
    def stands_out(self) -> bool:
        return self.css != "grey"


def looks(comparison: Comparison) -> dict[str, Look]:
    """By group name; of many groups the baseline, those in verdicts and the best stand out."""
    names = [g.name for g in comparison.groups]
    asked = [arm for verdict in comparison.verdicts for arm in verdict.contrast.weights]
    sign = -1 if comparison.higher_is_better else 1
    best = sorted(
        (g for g in comparison.groups if g.mean is not None), key=lambda g: sign * (g.mean or 0.0)
    )
    wanted = [comparison.baseline, *asked, *(g.name for g in best)]
    first = [name for name in dict.fromkeys(wanted) if name in names][:COLOURED]
    chosen = names if len(names) <= COLOURED else [name for name in names if name in first]
    if comparison.baseline in chosen:  # it has the colour of the ink everywhere
        chosen = [comparison.baseline, *(name for name in chosen if name != comparison.baseline)]
    found = {}
    for index, name in enumerate(names):
        if name in chosen:
            place = chosen.index(name)
            found[name] = Look(index, f"c{place}", _DASHES[place], _SHAPES[place])
        else:
            found[name] = Look(index, "grey", None, "disc")
    return found


def nth(place: int) -> Look:
    """Of what is no group, such as a set of them; the ink is left to the baseline."""
    colour = 1 + place % (COLOURED - 1)
    return Look(-1, f"c{colour}", _DASHES[place % COLOURED], _SHAPES[place % COLOURED])


def mark(shape: str, x: float, y: float, size: float = 5.0) -> Html:
    """A point; its colour is that of the element around it."""
    if shape == "disc":
        return tag("circle", cx=x, cy=y, r=size, class_="mark")
    return tag("path", d=_outline(shape, x, y, size), class_="mark")


def swatch(look: Look) -> Html:
    """The shape in its colour, to stand before a name in a table; a gap for a grey group."""
    if not look.stands_out:
        return tag("svg", class_="swatch", aria_hidden="true")
    own = tag("g", mark(look.shape, 7.0, 7.0), class_=look.css)
    return tag("svg", own, class_="swatch", viewBox="0 0 14 14", aria_hidden="true")


def _outline(shape: str, x: float, y: float, size: float) -> str:
    a, b = size * 0.9, size * 0.35
    corners: Sequence[tuple[float, float]] = {
        "square": [(-a, -a), (a, -a), (a, a), (-a, a)],
        "up": [(0, -size * 1.2), (size * 1.1, a), (-size * 1.1, a)],
        "down": [(0, size * 1.2), (size * 1.1, -a), (-size * 1.1, -a)],
        "diamond": [(0, -size * 1.3), (size * 1.3, 0), (0, size * 1.3), (-size * 1.3, 0)],
        "plus": _cross(size * 1.2, b),
        "cross": [((p - q) * 0.75, (p + q) * 0.75) for p, q in _cross(size * 1.3, b)],
    }[shape]
    return "M" + "L".join(f"{x + p:.1f} {y + q:.1f}" for p, q in corners) + "Z"


def _cross(a: float, b: float) -> list[tuple[float, float]]:
    side = [(-b, -a), (b, -a), (b, -b), (a, -b), (a, b), (b, b)]
    return [*side, (b, a), (-b, a), (-b, b), (-a, b), (-a, -b), (-b, -b)]

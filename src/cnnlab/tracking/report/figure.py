"""Charts on the page: each drawn twice, for a wide and for a narrow one, and several to choose."""

from collections.abc import Callable, Mapping

from cnnlab.tracking.report.markup import Child, Html, tag

WIDE, NARROW = 960, 350
"""Pixels. A chart that was only made smaller on a phone could not be read."""


def figure(draw: Callable[[int], Html], caption: Child = None) -> Html:
    """The chart that `draw` makes of a width in pixels."""
    return tag(
        "figure",
        tag("div", draw(WIDE), class_="wide"),
        tag("div", draw(NARROW), class_="narrow"),
        tag("figcaption", caption) if caption else None,
    )


def choice(figures: Mapping[str, Html], what: str) -> Html:
    """One of `figures` at a time, the first at first; without JavaScript all of them.

    Args:
        figures: by title.
        what: is chosen, such as `cost`.
    """
    if len(figures) == 1:
        return next(iter(figures.values()))
    options = [tag("option", title) for title in figures]
    picker = tag("label", f"{what} ", tag("select", options), class_="picker")
    shown = [
        tag("div", tag("h3", title), own, class_="option", data_title=title)
        for title, own in figures.items()
    ]
    return tag("div", picker, shown, class_="choice")

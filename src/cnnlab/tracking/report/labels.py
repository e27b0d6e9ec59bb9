"""Names in charts: cut to the room there is, and moved so that none lies on another."""

import math
from collections.abc import Sequence

CHARACTER = 7.8
"""Pixels of a character of a chart's text at 13 pixels, a little more than the mean."""


def cut(text: str, pixels: float) -> str:
    """`text`, its middle replaced by an ellipsis where it is wider than `pixels`."""
    room = max(4, int(pixels / CHARACTER))
    if len(text) <= room:
        return text
    # Names of one study often begin alike; what tells them apart is at the end.
    tail = room // 2
    return f"{text[: room - tail - 1]}…{text[-tail:]}"


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """`places` moved as little as needed to lie `gap` apart between `low` and `high`.

    Where there is no room for all they lie as far apart as they can.
    """
    order = sorted(range(len(places)), key=lambda index: places[index])
    gap = min(gap, (high - low) / max(1, len(places) - 1))
    found = list(places)
    last = -math.inf
    for index in order:
        found[index] = last = max(places[index], last + gap, low)
    last = math.inf
    for index in reversed(order):
        found[index] = last = min(found[index], last - gap, high)
    return found

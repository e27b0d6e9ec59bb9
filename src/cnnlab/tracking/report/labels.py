"""Names in charts: cut to the room there is, and moved so that none lies on another."""

import math
from collections.abc import Iterable, Sequence
from itertools import zip_longest

CHARACTER = 7.8
"""Pixels of a character of a chart's text at 13 pixels, a little more than the mean."""


def cut(text: str, pixels: float, among: Iterable[str] = ()) -> str:
    """`text`, its middle replaced by an ellipsis where it is wider than `pixels`.

    Where one of `among` would read the same, the part in which they differ is kept instead.
    """
    room = max(4, int(pixels / CHARACTER))
    if len(text) <= room:
        return text
    short = _ends(text, room)
    alike = [other for other in among if other != text and _ends(other, room) == short]
    if not alike:
        return short
    columns = enumerate(zip_longest(text, *alike))
    same = next(at for at, letters in columns if len(set(letters)) > 1)
    start = text.rfind(" ", 0, same) + 1  # whole words, if they begin where all are alike
    kept = text[start if same - start < room // 2 else same :]
    return f"…{kept}" if len(kept) < room else f"…{kept[: room - 2]}…"


def _ends(text: str, room: int) -> str:
    # Names of one study often begin alike; what tells them apart is at the end.
    tail = room // 2
    return f"{text[: room - tail - 1]}…{text[-tail:]}" if len(text) > room else text


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

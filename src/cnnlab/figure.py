"""A figure as the terminal shows it."""

import math

NONE = "-"
"""Where there is nothing to measure, as the precision of a class that no image shows."""


def figure(value: float, digits: int = 4) -> str:
    """`0.9861`; a dash for NaN."""
    return NONE if math.isnan(value) else f"{value:.{digits}f}"

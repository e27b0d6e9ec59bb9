"""Boxes that no image can have: what is done about them, by name and counted."""

from typing import Literal, NamedTuple

import numpy as np

BadBoxes = Literal["error", "clip", "drop"]
"""`data.bad_boxes`: refuse the set; cut boxes off at the image's edge, and drop those of which
nothing is left; drop every bad one."""

ROUNDING = 1e-4
"""Share of the image's side by which a box may reach beyond it and not be bad: annotations are
rounded. It is cut off all the same."""

FAULTS = (
    "",
    "is not finite",
    "is inverted",
    "has no area",
    "lies outside the image",
    "reaches beyond the image",
)


class Verdict(NamedTuple):
    """Of N boxes."""

    xyxy: np.ndarray
    """float32 `(N, 4)`, cut off at the image's edge; nonsense where `fault` is."""
    fault: np.ndarray
    """int64 `(N,)`: number in `FAULTS`, 0 of a sound box."""
    keep: np.ndarray
    """bool `(N,)`."""
    clipped: np.ndarray
    """bool `(N,)`: kept although it reached beyond the image."""


def judge(xyxy: np.ndarray, limits: np.ndarray, policy: BadBoxes) -> Verdict:
    """Sort sound boxes from bad ones.

    Args:
        xyxy: float64 `(N, 4)`, as annotated.
        limits: float64 `(N, 2)`: width and height of each box's image.
        policy: with `clip` a box that reaches beyond its image is kept; with `error` the caller
            refuses what has a fault.
    """
    edges = np.concatenate((limits, limits), 1)
    finite = np.isfinite(xyxy).all(1)
    known = np.where(finite[:, None], xyxy, 0.0)
    sides = known[:, 2:] - known[:, :2]
    # In float32, in which a sliver may have no width.
    cut = known.clip(0.0, edges).astype(np.float32)
    left = ((cut[:, 2:] - cut[:, :2]) > 0).all(1)
    beyond = ((known < -ROUNDING * edges) | (known > (1 + ROUNDING) * edges)).any(1)
    fault = np.select(
        [~finite, (sides < 0).any(1), (sides == 0).any(1) | (~left & ~beyond), ~left, beyond],
        range(1, 6),
        0,
    )
    clipped = (fault == 5) & (policy == "clip")
    return Verdict(cut, fault, (fault == 0) | clipped, clipped)

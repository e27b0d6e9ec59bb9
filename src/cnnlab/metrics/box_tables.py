"""Found and true boxes of a whole split, on the host, as the counting needs them."""

from typing import NamedTuple

import numpy as np


class FoundTable(NamedTuple):
    """D detections, by image; within an image in the order in which the net gave them."""

    xyxy: np.ndarray
    """float64 `(D, 4)`, in pixels of the original images."""
    score: np.ndarray
    """float64 `(D,)`."""
    label: np.ndarray
    """int64 `(D,)`: class ids."""
    image: np.ndarray
    """int64 `(D,)`, ascending: the index in the split."""

    def surest_first(self) -> np.ndarray:
        """The order of falling scores `(D,)`; of equal scores the first stays first."""
        return np.argsort(-self.score, kind="stable")


class TrueTable(NamedTuple):
    """N annotated boxes, by image."""

    xyxy: np.ndarray
    """float64 `(N, 4)`, in pixels of the original images."""
    label: np.ndarray
    """int64 `(N,)`: class ids."""
    image: np.ndarray
    """int64 `(N,)`, ascending: the index in the split."""
    crowd: np.ndarray
    """bool `(N,)`: a region of many objects, which counts neither as found nor as missed."""
    area: np.ndarray
    """float64 `(N,)`: of the object as it was annotated, in pixels."""


def xywh(xyxy: np.ndarray) -> np.ndarray:
    """Corners to left, top, width, height, `(..., 4)` each: COCO's form."""
    return np.concatenate([xyxy[..., :2], xyxy[..., 2:] - xyxy[..., :2]], -1)

"""Scenes of handwritten digits: where each lies, in pixels and as boxes, is known exactly."""

from random import Random
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from cnnlab.seeding import mix

SIDE = 128
"""Of a scene, in pixels."""
FEWEST = 2
"""Digits that are tried in a scene, unless one is the most."""
SIDES = (16, 48)
"""The least and the greatest side of a digit, in pixels."""

_TRIES = 20  # places for a digit before it is left out
_MOST_COVERED = 0.1  # share of a digit's square that another's may lie on
_INK = 0.5  # of full ink: what belongs to the digit
_CONTRAST = 90  # levels of 255 between a digit and the mean of what lies under it
_BLOBS = 5  # colours along a side of the background


class Scenes(NamedTuple):
    """S scenes with M digits."""

    images: Tensor
    """uint8 `(S, 3, 128, 128)`."""
    masks: Tensor
    """uint8 `(S, 128, 128)`: 0 background, digit + 1."""
    boxes: Tensor
    """float32 `(M, 4)`: x1, y1, x2, y2 in pixels around what can be seen of each digit."""
    labels: Tensor
    """int64 `(M,)`: the digits, 0 to 9."""
    scene: Tensor
    """int64 `(M,)`: in which scene."""


def compose(digits: Tensor, labels: Tensor, count: int, seed: int, most: int) -> Scenes:
    """Put digits on backgrounds of smooth random colours; scene i is a function of (seed, i).

    Args:
        digits: levels float32 in 0..1 `(N, 8, 8)`, ink high.
        labels: int64 `(N,)`.
        count: S.
        seed: of the split.
        most: digits that are tried in a scene; there may be as few as two.
    """
    images, masks, boxes, names, scene = [], [], [], [], []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # how an interpolation is shared out changes its last digit
    try:
        drawn = [_scene(digits, labels, most, Random(mix(seed, i))) for i in range(count)]
    finally:
        torch.set_num_threads(threads)
    for i, (image, mask, found) in enumerate(drawn):
        images.append(image)
        masks.append(mask)
        for label, box in found:
            boxes.append(box)
            names.append(label)
            scene.append(i)
    return Scenes(
        torch.from_numpy(np.stack(images)),
        torch.from_numpy(np.stack(masks)),
        torch.tensor(boxes, dtype=torch.float32),
        torch.tensor(names),
        torch.tensor(scene),
    )


def _scene(
    digits: Tensor, labels: Tensor, most: int, draw: Random
) -> tuple[np.ndarray, np.ndarray, list[tuple[int, list[int]]]]:
    image = _background(draw)
    owner = np.full((SIDE, SIDE), -1)  # which digit each pixel belongs to
    squares: list[tuple[int, int, int]] = []
    placed: list[int] = []
    for _ in range(draw.randint(min(FEWEST, most), most)):
        side, id = draw.randint(*SIDES), draw.randrange(len(digits))
        corner = _free_place(side, squares, draw)
        if corner is None:
            continue
        top, left = corner
        ink = F.interpolate(digits[None, None, id], (side, side), mode="bilinear")[0, 0].numpy()
        window = (..., slice(top, top + side), slice(left, left + side))
        under = image[window]
        colour = np.array([_far_from(level, draw) for level in under.mean((1, 2))], np.float32)
        image[window] = under + ink * (colour[:, None, None] - under)
        owner[window][ink > _INK] = len(placed)
        squares.append((top, left, side))
        placed.append(int(labels[id]))
    mask, found = np.zeros((SIDE, SIDE), np.uint8), []
    for number, label in enumerate(placed):
        rows, columns = np.nonzero(owner == number)
        mask[rows, columns] = label + 1
        box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        found.append((label, [int(side) for side in box]))
    return image.round().astype(np.uint8), mask, found


def _background(draw: Random) -> np.ndarray:
    """float32 `(3, SIDE, SIDE)` in 0..255: a few colours, blended."""
    colours = [draw.uniform(0, 255) for _ in range(3 * _BLOBS**2)]
    grid = torch.tensor(colours).view(1, 3, _BLOBS, _BLOBS)
    blended = F.interpolate(grid, (SIDE, SIDE), mode="bilinear", align_corners=True)[0]
    return blended.numpy()


def _free_place(
    side: int, squares: list[tuple[int, int, int]], draw: Random
) -> tuple[int, int] | None:
    for _ in range(_TRIES):
        top, left = draw.randint(0, SIDE - side), draw.randint(0, SIDE - side)
        covered = (
            max(0, min(top + side, t + s) - max(top, t))
            * max(0, min(left + side, x + s) - max(left, x))
            / min(side, s) ** 2
            for t, x, s in squares
        )
        if all(share <= _MOST_COVERED for share in covered):
            return top, left
    return None


def _far_from(level: float, draw: Random) -> float:
    """A level of 0..255 at least `_CONTRAST` from `level`, uniformly."""
    below, above = max(0.0, level - _CONTRAST), max(0.0, 255 - level - _CONTRAST)
    at = draw.uniform(0, below + above)
    return at if at < below else 255 - (below + above - at)

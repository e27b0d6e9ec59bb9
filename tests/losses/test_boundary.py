import pytest
import torch
from torch.nn import functional as F

from cnnlab.losses.boundary import Boundary
from cnnlab.pixels import IGNORE


def square(left, size=12):
    """A square of 4 pixels, 4 rows down."""
    mask = torch.zeros(1, size, size, dtype=torch.int64)
    mask[0, 4:8, left : left + 4] = 1
    return mask


def hard(mask):
    return 60.0 * F.one_hot(mask, 2).movedim(-1, 1).float()


def loss(tolerance, predicted, true):
    keys = {"eps": 1e-6, "absent": "skip", "per_image": False}
    return Boundary(tolerance=tolerance, **keys)(hard(predicted), true).item()


def by_hand(tolerance, predicted, true):
    """F1 of the outlines, pixel by pixel: those of a class beside another class."""
    scores = []
    for of in (0, 1):
        outlines = []
        for mask in (predicted[0], true[0]):
            pixels = set()
            for y in range(12):
                for x in range(12):
                    near = mask[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
                    if mask[y, x] == of and (near != of).any():
                        pixels.add((y, x))
            outlines.append(pixels)

        def share(some, others):
            close = [
                any(max(abs(y - b), abs(x - a)) <= tolerance for b, a in others) for y, x in some
            ]
            return sum(close) / len(close)

        precision, recall = share(*outlines), share(*reversed(outlines))
        scores.append(2 * precision * recall / (precision + recall) if precision + recall else 0)
    return 1 - sum(scores) / 2


@pytest.mark.parametrize("shift", [0, 1, 2, 3])
@pytest.mark.parametrize("tolerance", [0, 1, 2])
def test_of_hard_predictions_is_1_minus_the_f1_of_outlines(shift, tolerance):
    found, true = square(3 + shift), square(3)
    assert loss(tolerance, found, true) == pytest.approx(by_hand(tolerance, found, true), abs=1e-4)


def test_beside_ignored_pixels_there_is_no_outline():
    true = square(3)
    true[0, :, 6:] = IGNORE  # cuts the square
    found = true.where(true != IGNORE, 0)  # and the prediction ends there too
    assert loss(0, found, true) == pytest.approx(0, abs=1e-5)

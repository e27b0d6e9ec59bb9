from functools import partial

import pytest
import torch

from cnnlab.errors import UserError
from cnnlab.losses.cross_entropy import CrossEntropy
from cnnlab.losses.dice import Dice
from cnnlab.losses.weighted_sum import WeightedSum

DICE = partial(Dice, eps=1e-6, absent="skip", per_image=False)
CE = partial(CrossEntropy, label_smoothing=0.0, class_weights="balanced")


def test_terms_are_their_losses_times_their_weights():
    logits = torch.randn(1, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    targets = torch.eye(4, dtype=torch.int64)[None]
    both = WeightedSum([12, 4], terms={"dice": DICE, "ce": CE}, weights={"dice": 0.5, "ce": 2.0})
    found = both(logits, targets)
    assert list(found) == ["dice", "ce"]
    torch.testing.assert_close(found["dice"], 0.5 * DICE()(logits, targets))
    torch.testing.assert_close(found["ce"], 2 * CE([12, 4])(logits, targets))


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ({"dice": 1.0}, "must have the names of loss.terms: dice, ce"),
        ({"dice": 1.0, "ce": 1.0, "x": 1.0}, "must have the names"),
        ({"dice": 1.0, "ce": 0.0}, "loss.weights.ce=0.0: must be above 0"),
    ],
)
def test_wrong(weights, says):
    with pytest.raises(UserError, match=says):
        WeightedSum([1, 1], terms={"dice": DICE, "ce": CE}, weights=weights)

import pytest
import segmentation_models_pytorch as smp
import torch

from cnnlab.complexity.formulas.losses import dice_loss
from cnnlab.losses.dice import Dice

KEYS = {"eps": 1e-7, "absent": "skip", "per_image": False}


def logits_of(probabilities):
    """One logit a pixel, of an image with a single row."""
    return torch.tensor(probabilities).logit().view(1, 1, 1, -1)


def test_the_number_of_the_deck():
    """F23: p = [.9, .8, .3, .1], g = [1, 1, 0, 0] gives 0.1707317, of the foreground alone."""
    p, g = [0.9, 0.8, 0.3, 0.1], [1, 1, 0, 0]
    both = Dice(**KEYS)(logits_of(p), torch.tensor(g).view(1, 1, -1))
    background = dice_loss([1 - x for x in p], [1 - x for x in g])
    assert both.item() == pytest.approx((0.1707317 + background) / 2, abs=1e-6)


def test_equals_smp_where_every_class_is_there():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 4, 8, 8, generator=generator)
    targets = torch.randint(4, (2, 8, 8), generator=generator)
    theirs = smp.losses.DiceLoss("multiclass", eps=1e-7)(logits, targets)
    torch.testing.assert_close(Dice(**KEYS)(logits, targets), theirs)


def test_differs_from_smp_where_only_false_positives_are():
    """smp: 0, whatever is predicted. Here: the false positives cost (`absent=count`)."""
    empty = torch.zeros(1, 1, 4, dtype=torch.int64)
    logits = logits_of([0.9, 0.9, 0.1, 0.1])
    assert smp.losses.DiceLoss("binary")(logits, empty.unsqueeze(1)) == 0
    counted = Dice(**KEYS | {"absent": "count"})(logits, empty)
    background = dice_loss([0.1, 0.1, 0.9, 0.9], [1.0] * 4)
    assert counted.item() == pytest.approx((1 + background) / 2, abs=1e-5)


def test_the_decks_form_charges_an_empty_class_that_is_rightly_empty():
    assert dice_loss([0.0, 0.0], [0.0, 0.0]) == 1
    empty = torch.zeros(1, 1, 2, dtype=torch.int64)
    rightly = torch.full((1, 1, 1, 2), -200.0)
    assert Dice(**KEYS | {"absent": "count"})(rightly, empty) == 0

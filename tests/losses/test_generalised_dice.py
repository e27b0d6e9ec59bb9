import pytest
import torch

from cnnlab.losses.dice import Dice
from cnnlab.losses.generalised_dice import GeneralisedDice

KEYS = {"eps": 1e-7, "absent": "skip", "per_image": False}


def test_formula():
    """Sudre et al. 2017, by hand: 2 pixels of class 0, 8 of class 1."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 2, 2, 5, generator=generator)
    targets = torch.ones(1, 2, 5, dtype=torch.int64)
    targets[0, 0, :2] = 0
    p = logits.softmax(1)[0].flatten(1)
    t = torch.stack([1 - targets.flatten(), targets.flatten()]).float()
    w = 1 / torch.tensor([2.0, 8.0]) ** 2
    expected = 1 - 2 * (w * (p * t).sum(1)).sum() / (w * (p + t).sum(1)).sum()
    torch.testing.assert_close(GeneralisedDice(**KEYS)(logits, targets), expected)


def test_of_equal_classes_with_equal_errors_is_dice():
    targets = torch.tensor([[[0, 0, 0, 1, 1, 1]]])
    found = torch.tensor([0, 0, 1, 1, 1, 0])
    logits = 60.0 * torch.stack([1 - found, found]).view(1, 2, 1, 6)
    loss = GeneralisedDice(**KEYS)(logits, targets).item()
    assert loss == pytest.approx(Dice(**KEYS)(logits, targets).item(), abs=1e-6)
    assert loss == pytest.approx(1 / 3, abs=1e-5)

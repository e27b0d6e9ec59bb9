import pytest
import segmentation_models_pytorch as smp
import torch

from cnnlab.losses.dice import Dice
from cnnlab.losses.jaccard import Jaccard
from cnnlab.losses.tversky import Tversky

KEYS = {"absent": "skip", "per_image": False}
GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(2, 3, 6, 6, generator=GENERATOR)
TARGETS = torch.randint(3, (2, 6, 6), generator=GENERATOR)


def test_halves_are_dice_and_ones_jaccard():
    """Above the line Dice has twice the overlap, so its eps is twice as large."""
    halves = Tversky(alpha=0.5, beta=0.5, eps=1e-6, **KEYS)(LOGITS, TARGETS)
    torch.testing.assert_close(halves, Dice(eps=2e-6, **KEYS)(LOGITS, TARGETS))
    ones = Tversky(alpha=1.0, beta=1.0, eps=1e-6, **KEYS)(LOGITS, TARGETS)
    torch.testing.assert_close(ones, Jaccard(eps=1e-6, **KEYS)(LOGITS, TARGETS))


def test_alpha_is_the_price_of_false_positives():
    """Salehi et al. 2017, eq. 3, of hard predictions: TP 3, FP 2, FN 1 of class 1."""
    truth = torch.tensor([[[1, 1, 1, 1, 0, 0, 0, 0]]])
    found = torch.tensor([1, 1, 1, 0, 1, 1, 0, 0])
    logits = 60.0 * torch.stack([1 - found, found]).view(1, 2, 1, 8)
    for alpha, beta in ((0.3, 0.7), (2.0, 0.0)):
        one = 3 / (3 + 2 * alpha + 1 * beta)
        zero = 2 / (2 + 1 * alpha + 2 * beta)
        loss = Tversky(alpha=alpha, beta=beta, eps=1e-6, **KEYS)(logits, truth)
        assert loss.item() == pytest.approx(1 - (one + zero) / 2, abs=1e-5)


@pytest.mark.parametrize(("alpha", "beta"), [(0.3, 0.7), (0.5, 0.5), (1.0, 0.2)])
def test_equals_smp_where_every_class_is_present(alpha, beta):
    logits, targets = torch.randn(2, 3, 6, 7), torch.arange(84).view(2, 6, 7) % 3
    theirs = smp.losses.TverskyLoss("multiclass", alpha=alpha, beta=beta)
    ours = Tversky(alpha=alpha, beta=beta, eps=1e-6, absent="skip", per_image=False)
    torch.testing.assert_close(ours(logits, targets), theirs(logits, targets))

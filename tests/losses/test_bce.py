import pytest
import torch
from timm.loss import BinaryCrossEntropy as TimmBinaryCrossEntropy
from torch.nn import functional as F

from cnnlab.losses.bce import BinaryCrossEntropy

LOGITS = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)) * 3
LABELS = torch.tensor([[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0], [0, 0, 1.0]])
IDS = torch.tensor([0, 2, 1, 1, 0])


@pytest.mark.parametrize("weights", [None, [1.0, 2.0, 0.5]])
def test_formula(weights):
    s, w = LOGITS.sigmoid(), torch.tensor(weights or [1.0, 1.0, 1.0])
    expected = -(w * (LABELS * s.log() + (1 - LABELS) * (1 - s).log())).sum() / 15
    loss = BinaryCrossEntropy([2, 2, 2], label_smoothing=0.0, class_weights=weights)
    torch.testing.assert_close(loss(LOGITS, LABELS), expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_class_ids_as_in_timm(smoothing):
    loss = BinaryCrossEntropy(label_smoothing=smoothing, class_weights=None)
    torch.testing.assert_close(loss(LOGITS, IDS), TimmBinaryCrossEntropy(smoothing)(LOGITS, IDS))


def test_smoothing_of_shares_is_smoothing_before_mixing():
    loss = BinaryCrossEntropy(label_smoothing=0.2, class_weights=None)
    hot = F.one_hot(IDS, 3).float()
    mixed, smooth = 0.6 * hot + 0.4 * hot.flip(0), hot * 0.8 + 0.2 / 3
    expected = F.binary_cross_entropy_with_logits(LOGITS, 0.6 * smooth + 0.4 * smooth.flip(0))
    torch.testing.assert_close(loss(LOGITS, mixed), expected)

import pytest
import torch
from torchvision.ops import sigmoid_focal_loss

from cnnlab.losses.bce import BinaryCrossEntropy
from cnnlab.losses.sigmoid_focal import SigmoidFocal

LOGITS = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)) * 3
LABELS = torch.tensor([[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0], [0, 0, 1.0]])


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("alpha", [None, 0.25])
def test_equals_torchvision(gamma, alpha):
    loss = SigmoidFocal(gamma=gamma, alpha=alpha, class_weights=None)
    theirs = sigmoid_focal_loss(LOGITS, LABELS, -1 if alpha is None else alpha, gamma, "mean")
    torch.testing.assert_close(loss(LOGITS, LABELS), theirs)


@pytest.mark.parametrize("targets", [LABELS, torch.tensor([0, 2, 1, 1, 0]), LABELS * 0.3])
def test_gamma_0_is_binary_cross_entropy(targets):
    weights = [1.0, 3.0, 0.5]
    loss = SigmoidFocal([1, 1, 1], gamma=0.0, alpha=None, class_weights=weights)
    expected = BinaryCrossEntropy([1, 1, 1], label_smoothing=0.0, class_weights=weights)
    torch.testing.assert_close(loss(LOGITS, targets), expected(LOGITS, targets))


def test_finite_far_out():
    logits = torch.tensor([[200.0, -200.0]], requires_grad=True)
    loss = SigmoidFocal(gamma=0.5, alpha=None, class_weights=None)
    (loss(logits, torch.tensor([[1.0, 0.0]])) + loss(logits, torch.tensor([[0.0, 1.0]]))).backward()
    assert logits.grad.isfinite().all()

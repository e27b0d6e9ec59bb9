import pytest
import torch
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss

from cnnlab.losses.bce import BinaryCrossEntropy
from cnnlab.losses.sigmoid_focal import SigmoidFocal, focal_of_labels

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


OF_LABELS = torch.tensor([2, -1, 0, 1, -1])
"""Of each row the one class that is present; -1: none."""


def one_hot(label: torch.Tensor, classes: int) -> torch.Tensor:
    return F.one_hot(label + 1, classes + 1)[..., 1:].float()


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("alpha", [None, 0.0, 0.25, 0.9])
def test_of_labels_equals_torchvision(gamma, alpha):
    ours, theirs = (LOGITS.clone().requires_grad_() for _ in range(2))
    found = focal_of_labels(ours, OF_LABELS, gamma, alpha)
    targets = one_hot(OF_LABELS, 3)
    expected = sigmoid_focal_loss(theirs, targets, -1 if alpha is None else alpha, gamma).sum(1)
    torch.testing.assert_close(found, expected)
    found.sum().backward()
    expected.sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_of_labels_without_gamma_and_alpha_is_binary_cross_entropy():
    logits = LOGITS.view(5, 1, 3).expand(5, 4, 3)
    label = torch.randint(-1, 3, (5, 4), generator=torch.Generator().manual_seed(1))
    expected = F.binary_cross_entropy_with_logits(logits, one_hot(label, 3), reduction="none")
    torch.testing.assert_close(focal_of_labels(logits, label, 0.0, None), expected.sum(-1))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_of_labels_is_finite_far_out(gamma):
    logits = torch.tensor([[200.0, -200.0], [1e30, -1e30]], requires_grad=True)
    for label in ([-1, -1], [0, 0], [1, 1]):
        loss = focal_of_labels(logits, torch.tensor(label), gamma, 0.25)
        assert loss.isfinite().all()
        (gradient,) = torch.autograd.grad(loss.sum(), logits)
        assert gradient.isfinite().all()

import pytest
import torch
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss

from cnnlab.errors import UserError
from cnnlab.losses.cross_entropy import CrossEntropy
from cnnlab.losses.focal import Focal

LOGITS = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)) * 3
IDS = torch.tensor([0, 3, 1, 1, 2, 0])
SHARES = 0.7 * F.one_hot(IDS, 4) + 0.3 * F.one_hot(IDS.flip(0), 4)


@pytest.mark.parametrize("targets", [IDS, SHARES])
@pytest.mark.parametrize("weights", [None, [1.0, 0.5, 4.0, 2.0]])
def test_gamma_0_is_cross_entropy(targets, weights):
    focal = Focal([1] * 4, gamma=0.0, alpha=None, class_weights=weights)
    expected = CrossEntropy([1] * 4, label_smoothing=0.0, class_weights=weights)
    torch.testing.assert_close(focal(LOGITS, targets), expected(LOGITS, targets))


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
def test_of_two_classes_is_the_sigmoid_form(gamma):
    scores, labels = LOGITS[:, 0], torch.tensor([1, 0, 1, 1, 0, 0])
    two = torch.stack([torch.zeros(6), scores], 1)
    expected = sigmoid_focal_loss(scores, labels.float(), alpha=-1, gamma=gamma, reduction="mean")
    torch.testing.assert_close(
        Focal(gamma=gamma, alpha=None, class_weights=None)(two, labels), expected
    )


def test_ids_and_one_hot_shares_agree():
    loss = Focal(gamma=2.0, alpha=None, class_weights=None)
    torch.testing.assert_close(loss(LOGITS, IDS), loss(LOGITS, F.one_hot(IDS, 4).float()))


def test_easy_examples_lose_their_say():
    """Lin et al. 2017: at p = 0.9 and gamma 2 the loss is 100 times lower."""
    logits = torch.tensor([[0.9, 0.1]]).log()
    target = torch.tensor([0])
    ratio = F.cross_entropy(logits, target) / Focal(gamma=2.0, alpha=None, class_weights=None)(
        logits, target
    )
    assert ratio == pytest.approx(100, rel=1e-4)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("targets", [torch.tensor([0, 0]), torch.tensor([[1.0, 0], [0.5, 0.5]])])
def test_finite_where_the_softmax_is_0_or_1(gamma, targets):
    logits = torch.tensor([[200.0, -200.0], [-200.0, 200.0]], requires_grad=True)
    loss = Focal(gamma=gamma, alpha=None, class_weights=None)(logits, targets)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()


def test_of_masks_is_that_of_their_pixels():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 4, generator=generator)
    targets = torch.randint(3, (2, 4, 4), generator=generator)
    targets[1, 2:] = 255
    loss = Focal([1] * 3, gamma=2.0, alpha=None, class_weights=[0.5, 3.0, 1.0])
    flat, ids = logits.movedim(1, -1).flatten(0, 2), targets.flatten()
    expected = loss(flat[ids != 255], ids[ids != 255])
    torch.testing.assert_close(loss(logits, targets), expected)


@pytest.mark.parametrize("alpha", [0.25, 0.9])
def test_alpha_on_masks_is_torchvisions(alpha):
    """One logit a pixel, alpha for class 1; the mean divides by pixels, not by alphas."""
    logits, targets = torch.randn(2, 1, 5, 7), torch.randint(2, (2, 5, 7))
    want = sigmoid_focal_loss(
        logits[:, 0], targets.float(), alpha=alpha, gamma=2.0, reduction="mean"
    )
    loss = Focal([1] * 2, gamma=2.0, alpha=alpha, class_weights=None)
    torch.testing.assert_close(loss(logits, targets), want)


def test_alphas_as_a_list_scale_the_classes():
    logits, targets = torch.randn(6, 3), torch.tensor([0, 1, 2, 0, 1, 2])
    plain = Focal(gamma=2.0, alpha=None, class_weights=None)
    each = torch.stack([plain(z[None], t[None]) for z, t in zip(logits, targets, strict=True)])
    want = (each * torch.tensor([1.0, 2.0, 0.5])[targets]).mean()
    loss = Focal([1] * 3, gamma=2.0, alpha=[1.0, 2.0, 0.5], class_weights=None)
    torch.testing.assert_close(loss(logits, targets), want)


@pytest.mark.parametrize("alpha", [0.25, [1.0, 1.0]])
def test_alpha_must_fit_the_classes(alpha):
    with pytest.raises(UserError, match="2 factors for 3 classes"):
        Focal([1] * 3, gamma=2.0, alpha=alpha, class_weights=None)

"""What every loss of masks keeps: ignored pixels, empty batches, one logit for two classes."""

import math

import pytest
import torch
from torch.nn import functional as F

from cnnlab.losses.boundary import Boundary
from cnnlab.losses.cross_entropy import CrossEntropy
from cnnlab.losses.dice import Dice
from cnnlab.losses.focal import Focal
from cnnlab.losses.generalised_dice import GeneralisedDice
from cnnlab.losses.jaccard import Jaccard
from cnnlab.losses.lovasz import Lovasz
from cnnlab.losses.tversky import Tversky
from cnnlab.pixels import IGNORE

REGIONS = {"eps": 1e-6, "absent": "skip", "per_image": False}
LOSSES = {
    "cross_entropy": lambda **_: CrossEntropy(label_smoothing=0.0, class_weights=None),
    "weighted": lambda **_: CrossEntropy([1] * 2, label_smoothing=0.1, class_weights=[0.2, 3.0]),
    "focal": lambda **_: Focal(gamma=2.0, alpha=None, class_weights=None),
    "dice": lambda **keys: Dice(**REGIONS | keys),
    "jaccard": lambda **keys: Jaccard(**REGIONS | keys),
    "tversky": lambda **keys: Tversky(alpha=0.3, beta=0.7, **REGIONS | keys),
    "generalised_dice": lambda **keys: GeneralisedDice(**REGIONS | keys),
    "lovasz": lambda **keys: Lovasz(
        **{key: value for key, value in (REGIONS | keys).items() if key != "eps"}
    ),
    "boundary": lambda **keys: Boundary(tolerance=1, **REGIONS | keys),
}
REGIONAL = [name for name in LOSSES if name not in ("cross_entropy", "weighted", "focal")]
each = pytest.mark.parametrize("name", LOSSES)
regional = pytest.mark.parametrize("name", REGIONAL)


def case(classes=2, batch=2, side=9):
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(batch, classes, side, side, generator=generator)
    return logits, torch.randint(classes, (batch, side, side), generator=generator)


def value_and_gradient(loss, logits, targets):
    logits = logits.clone().requires_grad_()
    value = loss(logits, targets)
    value.backward()
    return value.detach(), logits.grad


@each
def test_ignored_pixels_change_neither_value_nor_gradient(name):
    logits, targets = case()
    targets[:, 3:6, 2:7] = IGNORE
    value, gradient = value_and_gradient(LOSSES[name](), logits, targets)
    other = logits.clone()
    ignored = (targets == IGNORE).unsqueeze(1).expand_as(logits)
    for noise in (50.0, float("nan"), float("inf")):
        other[ignored] = noise
        again, slope = value_and_gradient(LOSSES[name](), other, targets)
        assert torch.equal(value, again)
        assert torch.equal(gradient[~ignored], slope[~ignored])
        assert not gradient[ignored].any()
        if math.isfinite(noise):
            assert not slope[ignored].any()


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "boundary"])
def test_ignoring_is_cutting_out(name):
    """A boundary ends where the image does, and beside what is ignored; the others only sum."""
    logits, targets = case()
    cut = LOSSES[name]()(logits[..., :5], targets[..., :5])
    targets[..., 5:] = IGNORE
    torch.testing.assert_close(LOSSES[name]()(logits, targets), cut)


@each
@pytest.mark.parametrize("absent", ["skip", "count"])
@pytest.mark.parametrize("per_image", [False, True])
def test_all_ignored_is_0_with_a_finite_gradient(name, absent, per_image):
    logits, targets = case()
    loss = LOSSES[name](absent=absent, per_image=per_image)
    value, gradient = value_and_gradient(loss, logits, torch.full_like(targets, IGNORE))
    assert value == 0
    assert not gradient.any()


@each
@pytest.mark.parametrize("per_image", [False, True])
def test_one_logit_is_two_classes(name, per_image):
    logits, targets = case(classes=1)
    targets = torch.randint(2, targets.shape, generator=torch.Generator().manual_seed(1))
    loss = LOSSES[name](per_image=per_image)
    two = torch.cat([torch.zeros_like(logits), logits], 1)
    assert torch.equal(loss(logits, targets), loss(two, targets))


@each
def test_a_perfect_prediction_costs_nothing_and_its_opposite_all(name):
    _, targets = case(classes=2)
    truth = F.one_hot(targets, 2).movedim(-1, 1).float()
    loss = LOSSES[name]()
    assert loss(60 * truth, targets) < 2e-6 or name == "weighted"  # which smooths its targets
    if name in REGIONAL and name != "boundary":
        assert loss(60 * (1 - truth), targets) == pytest.approx(1, abs=1e-4)


@regional
def test_absent_classes(name):
    """Class 2 is not in the target; counted, its false positives cost."""
    _, targets = case(classes=2)
    right = 60 * F.one_hot(targets, 3).movedim(-1, 1).float()
    wrong = right.clone()
    wrong[:, 2, 2:5, 2:5] = 120.0
    skip, count = LOSSES[name](), LOSSES[name](absent="count")
    assert skip(right, targets) < 2e-6
    assert count(right, targets) < 2e-6  # empty against empty
    assert skip(wrong, targets) > 1e-3  # pixels of the others are lost
    assert count(wrong, targets) > skip(wrong, targets)


@pytest.mark.parametrize("name", ["dice", "jaccard", "tversky"])
def test_counted_classes_teach_with_an_eps_of_their_size(name):
    """Less of an absent class costs less; with a tiny eps the slope is all but 0."""
    logits = torch.zeros(1, 3, 6, 6)
    targets = torch.zeros(1, 6, 6, dtype=torch.int64)
    slopes = {}
    for eps in (1e-6, 10.0):
        for absent in ("skip", "count"):
            loss = LOSSES[name](eps=eps, absent=absent)
            _, gradient = value_and_gradient(loss, logits, targets)
            slopes[eps, absent] = gradient[:, 2].mean().item()
    # Relative to the present class, whose share of the mean is 1 of 3 when all are counted.
    assert slopes[10.0, "count"] > 1.5 * slopes[10.0, "skip"] / 3
    assert slopes[1e-6, "count"] == pytest.approx(slopes[1e-6, "skip"] / 3, rel=1e-3)


@regional
def test_per_image_is_the_mean_over_images(name):
    """Each alike, however many classes it has; one without a pixel that counts is none."""
    logits, targets = case(classes=3, batch=3)
    targets[1] = targets[1].clamp(max=1)
    targets[2] = IGNORE
    alone = [LOSSES[name]()(logits[i : i + 1], targets[i : i + 1]) for i in range(2)]
    together = LOSSES[name](per_image=True)(logits, targets)
    torch.testing.assert_close(together, torch.stack(alone).mean())


@each
def test_bf16_logits_lose_in_float32(name):
    logits, targets = case()
    loss = LOSSES[name]()
    exact = loss(logits.bfloat16().float(), targets)
    found = loss(logits.bfloat16(), targets)
    assert found.dtype == torch.float32
    assert torch.equal(found, exact)


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "boundary"])
def test_gradients_are_the_slopes(name):
    """Not of the boundary's, whose pools have kinks everywhere."""
    logits, targets = case(classes=3, side=4)
    if name == "weighted":
        targets = targets.clamp(max=1)
        logits = logits[:, :2]
    targets[0, 0] = IGNORE
    loss = LOSSES[name]()
    direction = torch.randn(logits.shape, generator=torch.Generator().manual_seed(2))
    _, gradient = value_and_gradient(loss, logits, targets)
    step = 1e-2
    slope = (
        loss(logits + step * direction, targets) - loss(logits - step * direction, targets)
    ) / (2 * step)
    assert slope.item() == pytest.approx((gradient * direction).sum().item(), rel=0.02, abs=1e-3)

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from cnnlab.errors import UserError
from cnnlab.losses.class_weights import class_weights

COUNTS = [500, 20, 3, 77]


def test_none():
    assert class_weights(None, COUNTS) is None


def test_balanced_is_scikit_learns():
    labels = torch.arange(4).repeat_interleave(torch.tensor(COUNTS)).numpy()
    expected = compute_class_weight("balanced", classes=np.arange(4), y=labels)
    torch.testing.assert_close(class_weights("balanced", COUNTS), torch.tensor(expected).float())


def test_balanced_has_mean_1_over_the_images():
    weights = class_weights("balanced", COUNTS)
    assert (weights * torch.tensor(COUNTS)).sum() / sum(COUNTS) == pytest.approx(1)


def test_effective():
    """Cui et al. 2019: E_n is the expected volume of n draws, E_n = 1 + beta E_(n-1)."""
    volumes = []
    for count in COUNTS:
        volume = 0.0
        for _ in range(count):
            volume = 1 + 0.999 * volume
        volumes.append(volume)
    weights = class_weights("effective", COUNTS)
    assert weights.mean() == pytest.approx(1)
    torch.testing.assert_close(weights / weights[0], volumes[0] / torch.tensor(volumes))


@pytest.mark.parametrize("rule", ["balanced", "effective"])
def test_a_class_without_images_gets_a_finite_weight(rule):
    assert torch.equal(class_weights(rule, [5, 0]), class_weights(rule, [5, 1]))


def test_a_list_stands_as_it_is():
    assert class_weights([1, 2, 0, 5], COUNTS).tolist() == [1, 2, 0, 5]


@pytest.mark.parametrize(
    ("rule", "counts", "words"),
    [
        ("balance", COUNTS, "loss.class_weights=balance: .*did you mean 'balanced'"),
        ([1.0, 2.0], COUNTS, "a list of 2 for 4 classes"),
        ([1.0, -2.0], [1, 1], "not negative"),
        ([1.0, float("nan")], [1, 1], "finite"),
        ([0, 0], [1, 1], "not all 0"),
        ("effective", None, "not counted"),
    ],
)
def test_wrong(rule, counts, words):
    with pytest.raises(UserError, match=words):
        class_weights(rule, counts)


def test_effective_is_refused_where_it_would_do_nothing():
    """Counts of pixels are beyond any effective number."""
    with pytest.raises(UserError, match="all weights are alike; balanced"):
        class_weights("effective", [5_000_000, 90_000])
    assert class_weights("effective", [5_000, 5_000]).tolist() == [1.0, 1.0]

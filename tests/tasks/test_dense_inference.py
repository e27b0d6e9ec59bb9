import itertools
import math
from fractions import Fraction

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cnnlab.tasks.dense_inference import averaged, starts, windowed

SIZES = [(16, 24), (17, 23), (9, 40), (5, 7), (12, 16), (33, 16)]


def images(size, batch=2):
    return torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(0))


def pointwise():
    torch.manual_seed(0)
    return nn.Conv2d(3, 4, 1).requires_grad_(False)


class Windows:
    """A net that notes what it is given, and refuses all but one size."""

    def __init__(self, net, window):
        self.net, self.window, self.seen = net, window, 0

    def __call__(self, x):
        assert x.shape[-2:] == self.window, f"a window of {tuple(x.shape)}"
        self.seen += 1
        return self.net(x)


@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.75])
@pytest.mark.parametrize("size", SIZES)
def test_a_pointwise_net_sees_the_same_through_windows(size, overlap):
    """(5, 7) is smaller than the window both ways, (9, 40) in height, (12, 16) is the window."""
    net = Windows(pointwise(), (12, 16))
    found = windowed(net, images(size), (12, 16), overlap)
    torch.testing.assert_close(found, pointwise()(images(size)))
    assert net.seen == len(starts(max(12, size[0]), 12, overlap)) * len(
        starts(max(16, size[1]), 16, overlap)
    )


def test_windows_seen_in_bf16_are_averaged_in_float32():
    found = windowed(lambda x: pointwise()(x).bfloat16(), images((17, 23)), (12, 16), 0.5)
    assert found.dtype == torch.float32


def test_a_windows_middle_counts_more_than_its_border():
    """Two windows of 8 in 12 columns, which say 0 and 1: where both see, a ramp of the pyramids."""
    said = itertools.count()
    found = windowed(
        lambda x: torch.full((1, 1, 8, 8), float(next(said))), images((8, 12), 1), (8, 8), 0.5
    )
    # Columns 4 to 7: the first window's weights are 4, 3, 2, 1 there, the second's 1, 2, 3, 4.
    expected = [0.0] * 4 + [1 / 5, 2 / 5, 3 / 5, 4 / 5] + [1.0] * 4
    torch.testing.assert_close(found, torch.tensor(expected).expand(1, 1, 8, 12))


def test_small_images_are_padded_with_0_right_and_below():
    given = []
    windowed(lambda x: given.append(x) or x[:, :1], images((5, 7)), (8, 8), 0.5)
    (window,) = given
    assert torch.equal(window, F.pad(images((5, 7)), (0, 1, 0, 3)))


@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.5, 0.75, 0.8, 0.95])
def test_windows_reach_both_ends_evenly_and_are_as_few_as_overlap(overlap):
    share = Fraction(str(overlap))  # exact, as a person means it
    for window in (1, 7, 10, 64):
        step = max(1, math.floor(window * (1 - share)))
        for length in range(window, 4 * window + 3):
            found = starts(length, window, overlap)
            assert found[0] == 0
            assert found[-1] == length - window
            gaps = [b - a for a, b in itertools.pairwise(found)]
            assert all(0 < gap <= step for gap in gaps), (length, window, found)
            assert not gaps or max(gaps) - min(gaps) <= 1
            # One less could not.
            assert len(found) == 1 or (len(found) - 2) * step < length - window


# Mirrored and scaled --------------------------------------------------------------------------


def test_a_net_that_mirrors_with_its_image_gains_nothing_by_it():
    x = images((9, 14))
    found = averaged(pointwise(), x, True, [1.0])
    torch.testing.assert_close(found, pointwise()(x).log_softmax(1))


def test_without_flip_and_scales_it_is_the_net():
    torch.manual_seed(0)
    net = nn.Conv2d(3, 4, 3, padding=1).requires_grad_(False)
    x = images((9, 14))
    torch.testing.assert_close(averaged(net, x, False, [1.0]), net(x).log_softmax(1))


def test_probabilities_are_averaged():
    """A net that knows left from right: the mean over both views, by hand."""
    x = images((4, 6))
    place = torch.linspace(-2, 2, 6).expand(2, 1, 4, 6)

    def net(x):
        return torch.cat([place, x[:, :1]], 1)

    plain, mirrored = net(x).softmax(1), net(x.flip(-1)).flip(-1).softmax(1)
    assert not torch.allclose(plain, mirrored, atol=0.1)
    found = averaged(net, x, True, [1.0])
    torch.testing.assert_close(found.exp(), (plain + mirrored) / 2)


def test_scales_are_of_the_images_size_and_come_back_to_it():
    given = []

    def net(x):
        given.append(tuple(x.shape[-2:]))
        return x.mean((2, 3), keepdim=True).expand_as(x)  # flat: resizing it changes nothing

    x = images((10, 15))
    found = averaged(net, x, True, [0.5, 1.0, 1.75, 0.01])
    # Python rounds a half to even: 7.5 to 8, 17.5 to 18, 26.25 to 26.
    assert given == [(5, 8)] * 2 + [(10, 15)] * 2 + [(18, 26)] * 2 + [(1, 1)] * 2
    assert found.shape == x.shape
    views = []
    for size in given:
        seen = x if size == (10, 15) else F.interpolate(x, size, mode="bilinear", antialias=True)
        views.append(seen.mean((2, 3), keepdim=True).softmax(1))
    expected = torch.stack(views).mean(0).expand_as(x)
    torch.testing.assert_close(found.exp(), expected)


def test_a_probability_of_0_has_a_finite_logarithm():
    x = images((4, 4))
    found = averaged(lambda x: 1e4 * pointwise()(x), x, True, [1.0, 2.0])
    assert found.isfinite().all()
    torch.testing.assert_close(found.exp().sum(1), torch.ones(2, 4, 4))


def test_a_net_of_one_size_is_seen_at_scales_through_windows():
    window = (8, 8)
    net = Windows(pointwise(), window)
    x = torch.full((1, 3, 12, 12), 0.7)
    found = averaged(lambda x: windowed(net, x, window, 0.5), x, True, [0.5, 1.0, 2.0])
    torch.testing.assert_close(found, pointwise()(x).log_softmax(1), atol=1e-5, rtol=1e-5)

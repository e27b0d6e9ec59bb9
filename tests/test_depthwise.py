import copy

import pytest
import timm
import torch
from torch import nn
from torch.nn import functional as F

from cnnlab.depthwise import in_float32


def convolution(**given):
    return nn.Conv2d(8, 8, **{"kernel_size": 5, "padding": 2, "groups": 8} | given)


@pytest.fixture
def image():
    return torch.rand(2, 8, 9, 9)


def test_under_autocast_it_computes_in_float32(image):
    layer = convolution()
    want = F.conv2d(image.bfloat16().float(), layer.weight, layer.bias, padding=2, groups=8)
    in_float32(layer)
    with torch.autocast("cpu", torch.bfloat16):
        got = layer(image.bfloat16())
        assert torch.is_autocast_enabled("cpu")
    assert got.dtype == torch.bfloat16
    assert torch.equal(got, want.bfloat16())
    got.float().sum().backward()
    assert layer.weight.grad.dtype == torch.float32


def test_elsewhere_nothing_changes(image):
    layer = convolution()
    want = layer(image)
    in_float32(layer)
    assert torch.equal(layer(image), want)


@pytest.mark.parametrize(
    ("given", "changed"),
    [
        ({}, True),
        ({"kernel_size": 3, "padding": 1, "stride": 2}, True),
        ({"kernel_size": 3, "padding": 1}, False),  # fast in bfloat16
        ({"groups": 4}, False),
        ({"groups": 1}, False),
    ],
)
def test_only_depthwise_ones_that_are_slow(given, changed):
    layer = convolution(**given)
    in_float32(layer)
    assert (type(layer) is not nn.Conv2d) == changed
    assert isinstance(layer, nn.Conv2d)


def test_names_weights_and_copies_stay():
    net = timm.create_model("tf_efficientnet_lite0", num_classes=3).eval()  # pads by itself
    names, image = list(net.state_dict()), torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        want = net(image)
        in_float32(net)
        in_float32(net)  # once is enough
        twin = copy.deepcopy(net)
        assert list(twin.state_dict()) == names
        assert torch.equal(twin(image), want)
        with torch.autocast("cpu", torch.bfloat16):
            torch.testing.assert_close(twin(image).float(), want, atol=0.1, rtol=0.1)
    # No depthwise layer of the copy shares its weights with the original.
    assert all(a is not b for a, b in zip(net.parameters(), twin.parameters(), strict=True))

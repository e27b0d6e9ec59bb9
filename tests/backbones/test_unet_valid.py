import math

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

import cnnlab.backbones.unet_valid  # noqa: F401  (registers it)


def build(name, **knobs):
    with torch.device("meta"):
        return timm.create_model(name, **knobs)


def convolutions(net):
    return [module for module in net.modules() if isinstance(module, nn.Conv2d)]


def test_maps_have_the_sizes_of_figure_1():
    maps = build("unet_valid", features_only=True)(torch.empty(1, 1, 572, 572, device="meta"))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (64, 568, 568),
        (128, 280, 280),
        (256, 136, 136),
        (512, 64, 64),
        (1024, 28, 28),
    ]


def test_padded_maps_keep_their_sizes():
    maps = build("unet_same", features_only=True)(torch.empty(1, 3, 572, 90, device="meta"))
    sizes = [tuple(m.shape[-2:]) for m in maps]
    assert sizes == [(572, 90), (286, 45), (143, 22), (71, 11), (35, 5)]


@pytest.mark.parametrize(("name", "padding"), [("unet_valid", 0), ("unet_same", 1)])
def test_features_are_the_papers(name, padding):
    torch.manual_seed(0)
    net = timm.create_model(name, width=2, in_chans=3, features_only=True).eval()
    layers = convolutions(net)
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == (10 if padding else 0)
    for layer in layers if not padding else norms:
        nn.init.normal_(layer.bias)
    x = images = torch.rand(1, 3, 150, 141)
    expected = []
    for level in range(5):
        x = F.max_pool2d(x, 2) if level else x
        for index in (2 * level, 2 * level + 1):
            x = F.conv2d(x, layers[index].weight, layers[index].bias, padding=padding)
            if norms:  # with statistics 0 and 1
                x = x / math.sqrt(1 + norms[index].eps) + norms[index].bias[:, None, None]
            x = x.relu()
        expected.append(x)
    with torch.no_grad():
        for ours, theirs in zip(net(images), expected, strict=True):
            torch.testing.assert_close(ours, theirs)


def test_weights_begin_as_section_3_says():
    """Deviation sqrt(2 / N): for a 3x3 convolution over 64 channels N = 576."""
    net = timm.create_model("unet_valid", width=16)
    for layer in convolutions(net)[4:]:
        inputs = 9 * layer.in_channels
        assert layer.weight.std().item() == pytest.approx((2 / inputs) ** 0.5, rel=0.05)
        assert not layer.bias.any()


def test_dropout_ends_the_contracting_path():
    net = build("unet_valid", features_only=True)
    of = {name: m.p for name, m in net.named_modules() if isinstance(m, nn.Dropout)}
    assert [name.partition(".")[0] for name in of] == ["stage4", "stage5"]
    assert set(of.values()) == {0.5}

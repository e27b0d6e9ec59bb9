import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from cnnlab.backbones.squeezenet import SqueezeNet
from cnnlab.complexity.count import count
from cnnlab.errors import UserError


def build(name="squeezenet1_0", **knobs):
    with torch.device("meta"):
        return timm.create_model(name, **knobs)


@pytest.mark.parametrize("name", ["squeezenet1_0", "squeezenet1_1"])
def test_equals_torchvision(name):
    torch.manual_seed(0)
    ours, theirs = timm.create_model(name), torchvision.models.get_model(name)
    values = ours.state_dict().values()
    theirs.load_state_dict(dict(zip(theirs.state_dict(), values, strict=True)))
    images = torch.randn(2, 3, 90, 77)
    with torch.no_grad():
        logits = ours.eval()(images)
        torch.testing.assert_close(logits, theirs.eval()(images))
    assert logits.any()


@pytest.mark.parametrize(
    ("name", "size", "params", "macs"),
    [
        ("squeezenet1_0", 227, 1_248_424, 832_667_936),
        ("squeezenet1_0", 224, 1_248_424, 818_924_576),
        ("squeezenet1_0_bn", 224, 1_254_184, 818_924_576),
        ("squeezenet1_1", 224, 1_235_496, 349_151_936),
    ],
)
def test_cost_is_the_published(name, size, params, macs):
    cost = count(build(name), (3, size, size))
    assert (cost.params, cost.macs) == (params, macs)


def test_maps_have_the_sizes_of_table_1():
    maps = build(features_only=True)(torch.empty(1, 3, 227, 227, device="meta"))
    assert [(m.shape[1], m.shape[2]) for m in maps] == [(96, 111), (256, 55), (512, 27), (512, 13)]


@pytest.mark.parametrize(
    ("knobs", "mib"),  # Fig. 3a, 3b, as printed
    [
        ({}, 4.8),
        ({"squeeze_ratio": 0.5}, 13),
        ({"squeeze_ratio": 0.75}, 19),
        ({"squeeze_ratio": 0.5, "pct_3x3": 0.01}, 5.7),
        ({"squeeze_ratio": 0.5, "pct_3x3": 0.99}, 21),
    ],
)
def test_ratios_give_the_papers_model_sizes(knobs, mib):
    size = 4 * sum(p.numel() for p in build(**knobs).parameters()) / 2**20
    assert size == pytest.approx(mib, rel=0.04)


def test_fire_with_batch_norm_is_deck_2s():
    torch.manual_seed(0)
    fire = timm.create_model("squeezenet1_0_bn").stage2[1]
    x = torch.randn(4, 96, 6, 5)
    fire(x)  # BatchNorm statistics that are not 0 and 1
    fire.eval()

    def conv_bn(x, branch):
        conv, bn, _ = branch
        y = F.conv2d(x, conv.weight, conv.bias, padding=conv.kernel_size[0] // 2)
        y = (y - bn.running_mean.view(-1, 1, 1)) / (bn.running_var.view(-1, 1, 1) + 1e-5).sqrt()
        return y * bn.weight.view(-1, 1, 1) + bn.bias.view(-1, 1, 1)

    squeezed = conv_bn(x, fire.squeeze).relu()
    expanded = [conv_bn(squeezed, branch) for branch in (fire.expand1x1, fire.expand3x3)]
    torch.testing.assert_close(fire(x), torch.cat(expanded, 1).relu(), atol=1e-5, rtol=1e-4)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in build().modules())


def test_classifier_is_a_1x1_convolution():
    net = build(num_classes=7)
    assert isinstance(net.get_classifier(), nn.Conv2d)
    assert net.get_classifier().weight.shape == (7, 512, 1, 1)
    images = torch.empty(2, 3, 65, 50, device="meta")
    assert net(images).shape == (2, 7)
    with torch.device("meta"):
        net.reset_classifier(4)
        assert net(images).shape == (2, 4)
        net.reset_classifier(0)
    assert net(images).shape == (2, 512)


@pytest.mark.parametrize(
    ("knob", "value"), [("version", "1.2"), ("squeeze_ratio", 0), ("pct_3x3", 1.0)]
)
def test_wrong_knobs_are_one_line(knob, value):
    with pytest.raises(UserError, match=rf"model\.{knob}={value}: must be "):
        SqueezeNet(**{knob: value})

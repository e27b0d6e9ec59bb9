import copy
import math

import pytest
import timm
import torch
import torch.nn.functional as F
from timm.layers import BatchNormAct2d, ScaledStdConv2d
from torch import nn
from torch.nn.utils.parametrizations import weight_norm
from torchvision.ops import FrozenBatchNorm2d

import cnnlab.backbones  # noqa: F401  (registers ours)
from cnnlab.backbones.deformable import DeformableConv2d
from cnnlab.complexity.count import count
from cnnlab.surgery.fold_bn import effect, fold, vary_statistics


def trained(net):
    """Statistics and affine values as after training: none of them 0 or 1."""
    vary_statistics(net)
    return net.eval()


def norms(net):
    return [name for name, module in net.named_modules() if hasattr(module, "running_mean")]


def assert_equal_function(net, folded, images):
    with torch.no_grad():
        for a, b in zip(as_list(net(images)), as_list(folded(images)), strict=True):
            assert (a - b).abs().max() <= 2e-5 * a.abs().max()
            assert a.any()


def as_list(output):
    return output if isinstance(output, (list, tuple)) else [output]


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("resnet18", 0),
        ("mobilenetv2_035", 0),  # depthwise, activation inside of BatchNorm
        ("efficientnet_lite0", 0),  # depthwise 5x5
        ("regnety_002", 0),  # grouped, squeeze-and-excitation
        ("repvgg_a0", None),  # BatchNorm beside convolutions: some read the block's input
        ("resnet20_cifar", 0),
        ("plain20_cifar", 0),
    ],
)
def test_nets(name, kept):
    net = trained(timm.create_model(name, num_classes=7))
    before = copy.deepcopy(net.state_dict())
    size = (3, 32, 32) if "cifar" in name else (3, 64, 64)
    folded, report = fold(net, size)
    assert_equal_function(net, folded, torch.rand(2, *size))
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)
    assert {*report.folded, *report.kept} == set(norms(net))
    assert norms(folded) == list(report.kept)
    assert len(report.folded) > 17
    if kept is not None:
        assert len(report.kept) == kept
    else:
        assert report.kept
    # Another size than that of the run.
    assert_equal_function(net, folded, torch.rand(1, 3, size[1] + 13, size[2]))
    assert count(folded, size).macs == count(net, size).macs


@pytest.mark.parametrize(
    "name",
    [
        *("anynet", "convnext_walk", "deform_resnet18", "efficientnet_scaled", "mcunet_in1"),
        *("mobilenet_v1", "plain18", "shiftnet_c", "shufflenet_v1", "squeezenet1_0_bn"),
        *("nasnet_a_cifar", "preresnet110_cifar", "resnext29_8x64d_cifar"),
        *("shiftresnet20_cifar", "wrn40_1"),
    ],
)
def test_each_family_that_has_batchnorm(name):
    """Ours; a fold is proved by equal outputs, on statistics that are not the identity."""
    net = trained(timm.create_model(name, num_classes=7))
    size = net.default_cfg["input_size"]
    size = (3, min(64, size[1]), min(64, size[2]))
    folded, report = fold(net, size)
    # ShiftNet's stand before the convolutions, behind sums and shifts.
    assert bool(report.folded) == (name != "shiftnet_c")
    assert {*report.folded, *report.kept} == set(norms(net))
    assert_equal_function(net, folded, torch.rand(2, *size))


def test_preactivation_keeps_what_reads_a_sum():
    """DenseNet: BN-ReLU-conv-BN-ReLU-conv; only the second follows a convolution alone."""
    net = trained(
        timm.create_model("densenet121", num_classes=3, growth_rate=4, block_config=(2, 2))
    )
    folded, report = fold(net, (3, 64, 64))
    assert_equal_function(net, folded, torch.rand(2, 3, 64, 64))
    blocks = [f"features.denseblock{i}.denselayer{j}" for i in (1, 2) for j in (1, 2)]
    assert set(report.folded) == {"features.norm0", *(f"{block}.norm2" for block in blocks)}
    assert set(report.kept) == {
        *(f"{block}.norm1" for block in blocks),
        "features.transition1.norm",
        "features.norm5",
    }
    assert report.kept["features.denseblock1.denselayer2.norm1"] == "what it reads is made by cat"
    assert str(report).splitlines()[0] == "5 of 11 BatchNorm layers folded"


def test_feature_extractor():
    net = trained(timm.create_model("mobilenetv3_small_050", features_only=True))
    folded, report = fold(net, (3, 64, 64))
    assert not report.kept
    assert_equal_function(net, folded, torch.rand(2, 3, 64, 64))


def test_frozen_net():
    net = trained(timm.create_model("resnet18", num_classes=3))
    timm.utils.freeze(net, ["conv1", "bn1", "layer1"])
    folded, report = fold(net, (3, 64, 64))
    assert isinstance(net.bn1, FrozenBatchNorm2d)
    assert (len(report.folded), report.kept) == (20, {})
    assert_equal_function(net, folded, torch.rand(2, 3, 64, 64))


LAYERS = {
    "biased": nn.Conv2d(4, 6, 3),
    "grouped": nn.Conv2d(4, 6, 3, groups=2, bias=False),
    "depthwise": nn.Conv2d(4, 8, 3, groups=4),
    "same padding": timm.layers.Conv2dSame(4, 6, 3, 2),
    "transposed": nn.ConvTranspose2d(4, 6, 3, 2, bias=False),
    "transposed, grouped": nn.ConvTranspose2d(4, 6, 3, 2, groups=2),
    "transposed, depthwise": nn.ConvTranspose2d(4, 4, 2, 2, groups=4, bias=False),
    "deformable": DeformableConv2d(nn.Conv2d(4, 6, 3, bias=False), 2),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_layers(kind):
    layer = copy.deepcopy(LAYERS[kind])
    norm = nn.BatchNorm2d(getattr(layer, "out_channels", 6))
    net = trained(nn.Sequential(layer, norm, nn.ReLU(inplace=True)))
    folded, report = fold(net, (4, 9, 9))
    assert report.folded == {"1": "0"}
    assert_equal_function(net, folded, torch.randn(2, 4, 9, 9))
    assert isinstance(folded[1], nn.Identity)


@pytest.mark.parametrize("affine", [True, False])
def test_linear(affine):
    layers = [nn.Flatten(), nn.Linear(12, 5, bias=False), nn.BatchNorm1d(5, affine=affine)]
    net = trained(nn.Sequential(*layers))
    folded, report = fold(net, (3, 2, 2))
    assert report.folded == {"2": "1"}
    assert_equal_function(net, folded, torch.randn(2, 3, 2, 2))


def test_numbers_of_the_deck():
    """Formula F19: w=2 b=1 mu=3 sigma^2=4 alpha=1.5 beta=.5 gives 1.5 and -1."""
    conv, norm = nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1, eps=0.0)
    for tensor, value in (
        (conv.weight, 2), (conv.bias, 1), (norm.running_mean, 3), (norm.running_var, 4),
        (norm.weight, 1.5), (norm.bias, 0.5),
    ):  # fmt: skip
        tensor.data.fill_(value)
    folded, _ = fold(nn.Sequential(conv, norm), (1, 1, 1))
    assert (folded[0].weight.item(), folded[0].bias.item()) == (1.5, -1.0)


def test_activation_inside_of_batchnorm_stays():
    net = trained(nn.Sequential(nn.Conv2d(3, 4, 1), BatchNormAct2d(4, act_layer="silu")))
    folded, report = fold(net, (3, 4, 4))
    assert report.folded == {"1": "0"}
    assert isinstance(folded[1], nn.SiLU)
    assert_equal_function(net, folded, torch.randn(2, 3, 4, 4))


class Wiring(nn.Module):
    """A layer, two BatchNorms, and a forward to be given."""

    def __init__(self, forward, layer=None):
        super().__init__()
        # Registered in an order that says nothing.
        self.second = nn.BatchNorm2d(4)
        self.first = nn.BatchNorm2d(4)
        self.conv = layer or nn.Conv2d(4, 4, 1)
        self.run = forward

    def forward(self, x):
        return self.run(self, x)


def batch_statistics(net, x):
    net.first.running_mean = net.first.running_var = None
    return net.first(net.conv(x))


REFUSED = {
    "made by relu": lambda net, x: net.first(net.conv(x).relu()),
    "made by the input": lambda net, x: net.first(x),
    "made by gelu": lambda net, x: net.first(F.gelu(net.conv(x))),
    "read by add": lambda net, x: net.first(y := net.conv(x)) + y,
    "also read by the net's output": lambda net, x: (net.first(y := net.conv(x)), y),
    "also read by relu": lambda net, x: net.first(net.conv(x).relu_()),
    "also read by native_batch_norm": lambda net, x: (
        net.first(net.conv(x)) + net.second(net.conv(x + 1))
    ),
    "outputs of several layers": lambda net, x: net.first(net.conv(x)) + net.first(net.other(x)),
    "not run in evaluation": lambda net, x: net.conv(x),
    "statistics of the batch": batch_statistics,
}


@pytest.mark.parametrize("why", REFUSED)
def test_reasons(why):
    net = trained(Wiring(REFUSED[why]))
    net.other = nn.Conv2d(4, 4, 1)
    folded, report = fold(net, (4, 5, 5))
    assert why in report.kept["first"]
    assert not report.folded
    assert_equal_function(net, folded, torch.randn(2, 4, 5, 5))


def test_shared_layer_with_its_own_batchnorm():
    """A detector's head over several maps: each call is the same pair."""
    net = trained(Wiring(lambda net, x: net.first(net.conv(x)) + net.first(net.conv(x * 2))))
    folded, report = fold(net, (4, 5, 5))
    assert report.folded == {"first": "conv"}
    assert_equal_function(net, folded, torch.randn(2, 4, 5, 5))


def test_batchnorm_with_two_names():
    net = trained(Wiring(lambda net, x: net.alias(net.conv(x))))
    net.alias = net.first
    folded, report = fold(net, (4, 5, 5))
    assert report.folded == {"first": "conv"}
    assert_equal_function(net, folded, torch.randn(2, 4, 5, 5))


@pytest.mark.parametrize("layer", [ScaledStdConv2d(4, 4, 3), weight_norm(nn.Conv2d(4, 4, 1))])
def test_computed_weights_are_refused(layer):
    net = trained(Wiring(lambda net, x: net.first(net.conv(x)), layer))
    folded, report = fold(net, (4, 5, 5))
    assert not report.folded
    assert type(layer).__name__ in report.kept["first"]
    assert_equal_function(net, folded, torch.randn(2, 4, 5, 5))


def test_hooks_still_see_what_they_saw():
    net = trained(nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)))
    net[0].register_forward_hook(lambda module, inputs, output: None)
    assert fold(net, (4, 5, 5))[1].kept == {"1": "a hook watches it"}
    assert len(net[0]._forward_hooks) == 1
    assert not net[1]._forward_hooks


def test_effect():
    net = trained(timm.create_model("resnet20_cifar"))
    folded, _ = fold(net, (3, 32, 32))
    result = effect(net, folded, (3, 32, 32), threads=1)
    assert 0 < result.difference < 2e-5
    assert result.after.median_ms > 0
    assert result.before.median_ms > 0
    with torch.no_grad():
        folded.head.fc.bias.add_(1.0)
        assert effect(net, folded, (3, 32, 32)).difference > 0.01
        folded.head.fc.bias.fill_(float("nan"))
    assert math.isnan(effect(net, folded, (3, 32, 32)).difference)
    assert net.training is False

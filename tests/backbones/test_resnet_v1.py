import pytest
import timm
import torch
from timm.layers import DropPath
from torch import nn

from cnnlab.backbones.blocks import Bottleneck, Subsample
from cnnlab.complexity.count import count
from cnnlab.errors import UserError

SMALL = {"layers": [1, 2, 1, 1]}


def cost(name, **knobs):
    with torch.device("meta"):
        counted = count(timm.create_model(name, **knobs), (3, 224, 224))
    return counted.params, counted.macs


def copy_by_order(theirs, ours):
    """Equal tensors; timm's modules have other names. BatchNorm is made to matter."""
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_mean, module.running_var, module.weight, module.bias):
                nn.init.uniform_(tensor, 0.5, 1.5)
    names, tensors = ours.state_dict(), theirs.state_dict().values()
    assert [t.shape for t in names.values()] == [t.shape for t in tensors]
    ours.load_state_dict(dict(zip(names, tensors, strict=True)))
    ours.eval()
    theirs.eval()


def assert_equal_outputs(ours, theirs):
    images = torch.randn(2, 3, 64, 70)
    with torch.no_grad():
        expected = theirs(images)
        torch.testing.assert_close(ours(images), expected, rtol=1e-4, atol=1e-5)
    assert expected.std() > 0.01


@pytest.mark.parametrize(
    ("name", "theirs", "knobs", "their_knobs"),
    [
        ("resnet18_a", "resnet18", {"shortcut": "B"}, {}),
        ("resnet50_v1", "resnet50", {"stride_in": "3x3"}, {}),
        (
            "resnet_v1",
            "resnet50",
            SMALL | {"stride_in": "3x3", "groups": 8, "width_per_group": 14},
            SMALL | {"cardinality": 8, "base_width": 14},
        ),
        ("resnet_v1", "seresnet50", SMALL | {"stride_in": "3x3", "se": True}, SMALL),
    ],
)
def test_later_form_equals_timms(name, theirs, knobs, their_knobs):
    torch.manual_seed(0)
    ours, theirs = timm.create_model(name, **knobs), timm.create_model(theirs, **their_knobs)
    copy_by_order(theirs, ours)
    assert_equal_outputs(ours, theirs)


def test_first_form_equals_the_senets():
    """timm's port of the Caffe SE-ResNet-50 has the published stride, but pools otherwise."""
    torch.manual_seed(0)
    ours = timm.create_model("resnet_v1", **SMALL, se=True)
    theirs = timm.create_model("legacy_seresnet50", **SMALL)
    copy_by_order(theirs, ours)
    ours.stage2[0] = theirs.pool0
    assert_equal_outputs(ours, theirs)


@pytest.mark.parametrize("shortcut", ["A", "none"])
def test_options_a_and_none_against_timms_blocks(shortcut):
    """timm's net with its projections replaced: zero padding by slices, or nothing added."""

    class Slice(nn.Module):
        def __init__(self, stride, chans):
            super().__init__()
            self.stride, self.chans = stride, chans

        def forward(self, x):
            x = x[:, :, :: self.stride, :: self.stride]
            return torch.cat([x, x.new_zeros(2, self.chans - x.shape[1], *x.shape[2:])], dim=1)

    class Nothing(nn.Module):
        def forward(self, x):
            return 0

    torch.manual_seed(0)
    theirs = timm.create_model("resnet18")
    for layer in (theirs.layer1, theirs.layer2, theirs.layer3, theirs.layer4):
        for block in layer:
            if shortcut == "none":
                block.downsample = Nothing()
            elif block.downsample is not None:
                block.downsample = Slice(block.stride, block.conv1.out_channels)
    ours = timm.create_model("plain18" if shortcut == "none" else "resnet18_a")
    copy_by_order(theirs, ours)
    assert_equal_outputs(ours, theirs)


def test_option_a_of_a_bottleneck_pads_without_a_stride():
    with torch.device("meta"):
        block = timm.create_model("resnet50_v1", shortcut="A").stage2[1]
    assert isinstance(block.shortcut, Subsample)
    assert block(torch.empty(1, 64, 9, 9, device="meta")).shape == (1, 256, 9, 9)


# He et al. 2015, Table 1 (FLOPs in units of 1e9, multiply-adds).
@pytest.mark.parametrize(
    ("name", "printed"),
    [("resnet18_a", 1.8), ("plain18", 1.8), ("resnet34_a", 3.6), ("plain34", 3.6),
     ("resnet50_v1", 3.8), ("resnet101_v1", 7.6), ("resnet152_v1", 11.3)],
)  # fmt: skip
def test_macs_are_table_1s(name, printed):
    assert cost(name)[1] / 1e9 == pytest.approx(printed, rel=0.02)


def test_strides_place_moves_macs_only():
    """Three 1x1 convolutions see a quarter of the positions: stages 3-5 of ResNet-50."""
    (params, v1), (same, v1_5) = cost("resnet50_v1"), cost("resnet50_v1", stride_in="3x3")
    assert params == same == 25_557_032
    moved = [(256, 128, 56), (512, 256, 28), (1024, 512, 14)]  # 1x1: from, to, size before
    assert v1_5 - v1 == sum(a * b * (size**2 - (size // 2) ** 2) for a, b, size in moved)


def test_squeeze_excitation_costs_what_its_paper_says():
    """Hu et al. 2018, eq. 5: 2 C^2 / r weights a block, r = 16; and two biases."""
    chans = [256] * 3 + [512] * 4 + [1024] * 6 + [2048] * 3
    added = sum(2 * c * c // 16 + c + c // 16 for c in chans)
    assert cost("resnet50_v1", se=True)[0] - cost("resnet50_v1")[0] == added
    assert 25_557_032 + added == 28_088_024  # timm's seresnet50


def test_features_are_the_papers_stages_at_odd_sizes():
    with torch.device("meta"):
        net = timm.create_model("resnet50_v1", features_only=True, in_chans=1)
        maps = net(torch.empty(2, 1, 97, 65))
    assert net.feature_info.reduction() == [2, 4, 8, 16, 32]
    assert [tuple(x.shape[1:]) for x in maps] == [
        (64, 49, 33), (256, 25, 17), (512, 13, 9), (1024, 7, 5), (2048, 4, 3)
    ]  # fmt: skip


def test_stochastic_depth_is_linear_and_drops_paths():
    torch.manual_seed(0)
    with torch.device("meta"):
        net = timm.create_model("resnet50_v1", drop_path=0.32)
    rates = [module.drop_prob for module in net.modules() if isinstance(module, DropPath)]
    assert rates == pytest.approx([0.02 * (block + 1) for block in range(16)])
    block = Bottleneck(8, 16, 4, 2, "1x1", 1, "B", drop_path=1.0, se_reduction=16).train()
    images = torch.randn(3, 8, 7, 7)
    block.shortcut.eval()
    assert torch.equal(block(images), block.shortcut(images).relu())


def test_every_parameter_learns():
    torch.manual_seed(0)
    net = timm.create_model("resnet_v1", layers=[1, 1, 1, 1], se=True, num_classes=5)
    net(torch.rand(4, 3, 64, 64)).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in net.parameters())


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"layers": [3, 4, 6]}, r"model\.layers=\[3, 4, 6\]: must be 4 numbers"),
        ({"layers": [3, 4, 0, 3]}, r"model\.layers=.*: must be 4 numbers of at least 1"),
        ({"shortcut": "C"}, r"model\.shortcut=C: must be A, B or none"),
        ({"stride_in": "5x5"}, r"model\.stride_in=5x5: must be 1x1 or 3x3"),
        ({"groups": 0}, r"model\.groups=0: must be at least 1"),
        ({"bottleneck": False, "groups": 32}, r"model\.groups=32: must be 1 without bottlenecks"),
        ({"bottleneck": False, "stride_in": "3x3"}, r"model\.stride_in=3x3: must be 1x1 without"),
        ({"shortcut": "none", "drop_path": 0.1}, "plain net"),
    ],
)
def test_wrong_knobs_are_one_line(knobs, message):
    with pytest.raises(UserError, match=message):
        timm.create_model("resnet_v1", **knobs)

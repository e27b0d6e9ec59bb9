"""Deformable ResNets beside timm's plain ones, torchvision's operator and eq. 1 by hand."""

import subprocess
import sys

import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

import cnnlab.backbones.deformable  # noqa: F401  (registers them)
from cnnlab.backbones.deformable import DeformableConv2d
from cnnlab.complexity.count import count
from cnnlab.errors import UserError

# Trunk of ResNet-101 without fc: architectures.csv (parameters, MACs at 224).
TRUNK = {
    0: (42_500_160, 9_918_791_680),
    1: (42_583_122, 9_935_048_704),
    2: (42_666_084, 9_951_305_728),
    3: (42_749_046, 9_967_562_752),
    6: (42_873_516, 9_991_948_288),
}
NAMES = [
    "resnet18", "resnet34", "resnet50", "resnet101", "resnet152",
    "resnext50_32x4d", "resnext101_32x4d", "resnext101_32x8d", "resnext101_64x4d",
    "wide_resnet50_2", "wide_resnet101_2", "seresnet50",
]  # fmt: skip


def meta(name, **knobs):
    with torch.device("meta"):
        return timm.create_model(name, **knobs)


def seeded(name, **knobs):
    torch.manual_seed(0)
    return timm.create_model(name, **knobs).eval()


def deformable(net):
    return [name for name, m in net.named_modules() if isinstance(m, DeformableConv2d)]


@pytest.mark.parametrize("deform", TRUNK)
def test_cost_is_the_references(deform):
    cost = count(meta("deform_resnet101", num_classes=0, deform=deform), (3, 224, 224))
    assert (cost.params, cost.macs) == TRUNK[deform]


@pytest.mark.parametrize(("dg", "params"), [(1, 82_962), (4, 331_848)])
def test_offset_groups_cost_the_references(dg, params):
    one, none = (meta("deform_resnet101", deform=n, dg=dg) for n in (1, 0))
    assert sum(p.numel() for p in one.parameters()) - params == sum(
        p.numel() for p in none.parameters()
    )


def test_layers_are_the_decks():
    """Table T13: res5c; res5b, c; res5a, b, c; then res4b22, b21, b20."""
    five = [f"layer4.{block}.conv2" for block in range(3)]
    four = [f"layer3.{block}.conv2" for block in (20, 21, 22)]
    layers = {n: deformable(meta("deform_resnet101", deform=n)) for n in TRUNK}
    assert layers == {0: [], 1: five[2:], 2: five[1:], 3: five, 6: four + five}
    assert deformable(meta("deform_resnet18")) == [
        "layer4.0.conv2",
        "layer4.1.conv1",
        "layer4.1.conv2",
    ]


@pytest.mark.parametrize(("name", "stride"), [("resnet18", 16), ("resnext50_32x4d", 32)])
def test_begins_as_timms_plain_net(name, stride):
    """Equal seeds: equal weights and logits."""
    plain = seeded(name, output_stride=stride)
    if stride == 16:  # the paper dilates the first block's too, timm does not
        for module in plain.layer4.modules():
            if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
                module.dilation = module.padding = (2, 2)
    ours = seeded(f"deform_{name}", output_stride=stride, deform=4, dg=2)
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        # BatchNorm's last weight is 0 at the start, which would hide what the block computes.
        for net in (plain, ours):
            for key, parameter in net.named_parameters():
                if "bn" in key and key.endswith("weight"):
                    parameter.fill_(0.5)
        torch.testing.assert_close(ours(images), plain(images))


@pytest.mark.parametrize("name", NAMES)
def test_without_deformable_layers_it_is_timms_net(name):
    ours, plain = meta(f"deform_{name}", deform=0, output_stride=32), meta(name)
    for ours_at, plain_at in zip(ours.named_modules(), plain.named_modules(), strict=True):
        assert ours_at[0] == plain_at[0]
        if not list(ours_at[1].children()):
            assert repr(ours_at[1]) == repr(plain_at[1])


@pytest.mark.parametrize("base", ["seresnet50", "resnet50d", "resnetaa50", "senet154"])
def test_any_resnet_of_timm(base):
    """SENet-154's projection shortcuts are 3x3; they are no layers of a path."""
    net = meta("deform_resnet", base=base)
    assert deformable(net) == [f"layer4.{block}.conv2" for block in range(3)]
    assert net(torch.empty(1, 3, 64, 64, device="meta")).shape == (1, 1000)
    plain = meta(base).state_dict()
    assert set(net.state_dict()) - set(plain) == net.starts_at_zero
    assert net.default_cfg["hf_hub_id"] == timm.get_pretrained_cfg(base).hf_hub_id
    with pytest.raises(UserError, match=r"model\.dg=7: must divide"):
        meta("deform_resnet", base=base, dg=7)


@pytest.mark.parametrize("base", ["resnet10t", "seresnet18"])
def test_any_resnet_begins_as_the_plain_net(base):
    """A stem of three layers, average pooling in the shortcuts; squeeze-and-excitation."""
    plain = seeded(base)
    with torch.no_grad():
        for module in plain.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
    ours = seeded("deform_resnet", base=base, output_stride=32)
    ours.load_state_dict(plain.state_dict())
    images = torch.rand(2, 3, 40, 56)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), plain(images))
        ours.get_submodule(deformable(ours)[-1]).offset.bias.fill_(0.5)
        assert not torch.allclose(ours(images), plain(images))


@pytest.mark.parametrize("base", ["resnet51", "vgg16", "deform_resnet50"])
def test_a_base_that_is_no_resnet_is_one_line(base):
    with pytest.raises(UserError, match=f"model.base={base}: must be a ResNet of timm"):
        meta("deform_resnet", base=base)


@pytest.mark.parametrize("name", ["resnet18", "resnet101", "resnext50_32x4d", "seresnet50"])
@pytest.mark.parametrize("stride", [8, 16, 32])
def test_declared_strides_are_real(name, stride):
    net = meta(f"deform_{name}", features_only=True, output_stride=stride)
    assert net.feature_info.reduction() == [min(s, stride) for s in (2, 4, 8, 16, 32)]
    images = torch.empty(1, 3, 64, 96, device="meta")
    for maps, channels, reduction in zip(
        net(images), net.feature_info.channels(), net.feature_info.reduction(), strict=True
    ):
        assert maps.shape == (1, channels, 64 // reduction, 96 // reduction)
    odd = net(torch.empty(1, 3, 65, 63, device="meta"))
    assert odd[0].shape[-2:] == (33, 32)


def by_hand(x, offset, weight, stride, padding, dilation, groups, dg):
    """Eqs. 2 and 3: the input at fractional places by grid_sample, then a 1x1 product."""
    _, chans, height, width = x.shape
    rows, cols = offset.shape[-2:]
    y0 = torch.arange(rows).view(-1, 1) * stride - padding
    x0 = torch.arange(cols).view(1, -1) * stride - padding
    out = 0
    per = chans // dg
    for tap in range(9):
        sampled = []
        for group in range(dg):
            at = 2 * (group * 9 + tap)
            ys = y0 + (tap // 3) * dilation + offset[:, at]
            xs = x0 + (tap % 3) * dilation + offset[:, at + 1]
            # Outside pixels are zero: grid_sample with corners aligned to pixel centres.
            grid = torch.stack([2 * xs / (width - 1) - 1, 2 * ys / (height - 1) - 1], dim=-1)
            channels = x[:, group * per : (group + 1) * per]
            sampled.append(F.grid_sample(channels, grid.to(x.dtype), align_corners=True))
        taps = weight[:, :, tap // 3, tap % 3, None, None]
        out = out + F.conv2d(torch.cat(sampled, dim=1), taps, groups=groups)
    return out


@pytest.mark.parametrize(
    ("stride", "dilation", "groups", "dg"), [(1, 1, 1, 1), (2, 1, 1, 2), (1, 2, 2, 4)]
)
def test_convolution_is_the_papers(stride, dilation, groups, dg):
    torch.manual_seed(1)
    conv = nn.Conv2d(4, 6, 3, stride, dilation, dilation, groups, bias=False).double()
    ours = DeformableConv2d(conv, dg).double()
    x = torch.randn(2, 4, 7, 9, dtype=torch.double)
    torch.testing.assert_close(ours(x), conv(x))
    nn.init.normal_(ours.offset.weight, std=0.3)
    expected = by_hand(x, ours.offset(x), conv.weight, stride, dilation, dilation, groups, dg)
    torch.testing.assert_close(ours(x), expected)
    assert not torch.allclose(ours(x), conv(x))


def test_every_parameter_gets_a_gradient():
    net = timm.create_model("deform_resnet18", num_classes=3, in_chans=1)
    for key, parameter in net.named_parameters():
        if key.endswith("bn2.weight"):  # timm's zero there stops the first gradient
            nn.init.ones_(parameter)
    net(torch.rand(2, 1, 48, 48)).square().sum().backward()
    assert not [key for key, p in net.named_parameters() if p.grad is None or not p.grad.any()]


def test_not_finite_offsets_do_not_kill_the_process_and_are_seen():
    """In a process of its own: torchvision's bare operator ends with a segmentation fault."""
    script = """
import torch
from torch import nn
from cnnlab.backbones.deformable import DeformableConv2d
for bad in (float("nan"), float("inf"), float("-inf"), 1e38):
    conv = DeformableConv2d(nn.Conv2d(2, 2, 3, padding=1), 1)
    nn.init.constant_(conv.offset.bias, bad)
    x = torch.rand(1, 2, 64, 64, requires_grad=True)
    y = conv(x)
    y.sum().backward()
    assert y.isnan().all() == (bad != 1e38), bad
    # One pixel of the image: the outputs that see it are lost, and no others.
    conv = DeformableConv2d(nn.Conv2d(2, 2, 3, padding=1), 1)
    x = torch.rand(1, 2, 64, 64)
    x[0, 0, 10, 10] = bad
    y = conv(x)
    y.sum().backward()
    if bad != 1e38:
        assert y[..., 9:12, 9:12].isnan().all()
        y[..., 8:12, 8:12] = 0  # bilinear reads the next pixel too, times 0
        assert y.isfinite().all()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype):
    """torchvision's operator has no bfloat16, and autocast on the CPU does not know it."""
    torch.manual_seed(0)
    conv = DeformableConv2d(nn.Conv2d(4, 4, 3, padding=1), 1)
    nn.init.normal_(conv.offset.weight, std=0.1)
    x = torch.rand(1, 4, 9, 9)
    expected = conv(x)
    with torch.autocast("cpu", dtype=dtype):
        ours = conv(x.to(dtype))
    assert ours.dtype == dtype
    torch.testing.assert_close(ours.float(), expected, rtol=0.02, atol=0.02)
    assert conv.to(dtype)(x.to(dtype)).dtype == dtype


def test_plain_weights_load_and_leave_the_offsets_at_zero(tmp_path):
    plain = seeded("resnet18", output_stride=32)
    save_file(plain.state_dict(), tmp_path / "plain.safetensors")
    overlay = {"file": str(tmp_path / "plain.safetensors")}
    arguments = {"pretrained": True, "pretrained_cfg_overlay": overlay, "output_stride": 32}
    torch.manual_seed(5)
    net = timm.create_model("deform_resnet18", **arguments).eval()
    features = timm.create_model("deform_resnet18", features_only=True, **arguments).eval()
    images = torch.rand(1, 3, 40, 56)
    with torch.no_grad():
        torch.testing.assert_close(net(images), plain(images))
        torch.testing.assert_close(features(images)[-1], plain.forward_features(images))
    assert len(net.starts_at_zero) == 6
    assert not any(net.state_dict()[key].any() for key in net.starts_at_zero)
    # Offsets that are there are loaded; half of them is an error, as for any tensor.
    state = net.state_dict()
    key = "layer4.1.conv2.offset.weight"
    state[key] = torch.ones_like(state[key])
    net.load_state_dict(state)
    assert net.state_dict()[key].all()
    del state[key]
    with pytest.raises(RuntimeError, match=key):
        net.load_state_dict(state)


def test_wrong_knobs_are_one_line():
    for knob, value, said in (
        ("deform", 17, "0 to 16, this"),
        ("deform", -1, "0 to 16, this"),
        ("dg", 3, "divide 512"),
        ("dg", 0, "divide 512"),
        ("output_stride", 12, "8, 16 or 32"),
    ):
        with pytest.raises(UserError, match=f"model.{knob}={value}: must.*{said}"):
            meta("deform_resnet50", **{knob: value})
    with pytest.raises(TypeError, match="widht"):
        meta("deform_resnet50", widht=4)


@pytest.mark.parametrize("name", NAMES)
def test_default_cfg_tells_the_truth(name):
    net = meta(f"deform_{name}")
    assert not hasattr(timm.models, f"deform_{name}")
    assert net.get_submodule(net.default_cfg["first_conv"]) is net.conv1
    assert net.get_submodule(net.default_cfg["classifier"]) is net.get_classifier()
    assert net.default_cfg["input_size"] == (3, 224, 224)
    assert meta(f"deform_{name}", num_classes=0)(torch.empty(1, 3, 64, 64, device="meta")).ndim == 2
    # `model.weights=timm` are the plain net's, for the offsets begin at zero.
    assert net.default_cfg["hf_hub_id"] == timm.get_pretrained_cfg(name).hf_hub_id

import pytest
import timm
import torch
from timm.layers import DropPath
from torch import nn

import cnnlab.backbones.resnext_cifar  # noqa: F401  (registers them)
from cnnlab.complexity.count import count
from cnnlab.errors import UserError


def build(name, **knobs):
    with torch.device("meta"):
        return timm.create_model(name, **knobs)


def by_hand(depth=29, groups=8, width_per_group=64, width=256):
    """Parameters and MACs at 32x32, layer by layer from the paper's section 5.3."""
    before = width // 4
    params, macs = 27 * before + 2 * before, 27 * before * 32 * 32
    for stage, size in enumerate((32, 16, 8)):
        mid, chans = groups * width_per_group * 2**stage, width * 2**stage
        for block in range((depth - 2) // 9):
            here = 9 * mid * mid // groups + mid * chans
            here += before * chans if block == 0 else 0
            # The stride is in the 3x3: the first 1x1 sees the stage before's positions.
            before_size = 2 * size if stage and block == 0 else size
            macs += before * mid * before_size**2 + here * size**2
            params += before * mid + here + 2 * (mid + mid + chans)
            params += 2 * chans if block == 0 else 0
            before = chans
    return params + (4 * width + 1) * 10, macs + 4 * width * 10


# Xie et al. 2017, Table 7.
@pytest.mark.parametrize(("groups", "printed"), [(8, 34.4), (16, 68.1)])
def test_cost_is_table_7s(groups, printed):
    counted = count(build(f"resnext29_{groups}x64d_cifar"), (3, 32, 32))
    assert (counted.params, counted.macs) == by_hand(groups=groups)
    assert counted.params / 1e6 == pytest.approx(printed, rel=0.001)


@pytest.mark.parametrize(
    "knobs",
    [
        {"groups": 1},
        {"groups": 32, "width_per_group": 4},
        {"groups": 4, "depth": 20},
        {"groups": 2, "depth": 11, "width": 48, "width_per_group": 12},
    ],
)
def test_knobs_change_the_cost(knobs):
    counted = count(build("resnext_cifar", **knobs), (3, 32, 32))
    assert (counted.params, counted.macs) == by_hand(**knobs)


def test_stages_equal_timms():
    """layer1 ... layer3 of timm's ResNeXt, behind its stem for small images."""
    torch.manual_seed(0)
    ours = timm.create_model("resnext_cifar", depth=20, groups=4, width_per_group=6)
    theirs = timm.create_model(
        "resnet50", layers=[2, 2, 2, 1], cardinality=4, base_width=6, num_classes=0
    )
    theirs.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    trunk = nn.Sequential(
        theirs.conv1, theirs.bn1, theirs.act1, theirs.layer1, theirs.layer2, theirs.layer3
    )
    for module in trunk.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_mean, module.running_var, module.weight, module.bias):
                nn.init.uniform_(tensor, 0.5, 1.5)
    names = [name for name in ours.state_dict() if not name.startswith("head.")]
    state = dict(zip(names, trunk.state_dict().values(), strict=True))
    ours.load_state_dict(state, strict=False)
    images = torch.randn(2, 3, 17, 15)
    with torch.no_grad():
        expected = trunk.eval()(images)
        torch.testing.assert_close(ours.eval().forward_features(images), expected)
    assert expected.std() > 0.01


def test_groups_do_not_see_each_other():
    """One group's input changes only that group's output of the 3x3."""
    torch.manual_seed(0)
    block = timm.create_model("resnext29_cifar", groups=4, width_per_group=3).stage1[0].eval()
    x = torch.randn(1, 12, 5, 5)
    y = x.clone()
    y[:, 3:6] += 1
    changed = (block.conv2(x) - block.conv2(y)).abs().amax((0, 2, 3)) > 1e-6
    assert changed.tolist() == [False] * 3 + [True] * 3 + [False] * 6


def test_squeeze_excitation_and_stochastic_depth():
    net = build("resnext29_8x64d_cifar", drop_path=0.9, se=True)
    rates = [module.drop_prob for module in net.modules() if isinstance(module, DropPath)]
    assert rates == pytest.approx([0.1 * (block + 1) for block in range(9)])
    added = sum(3 * (2 * c * c // 16 + c + c // 16) for c in (256, 512, 1024))
    assert sum(p.numel() for p in net.parameters()) == by_hand()[0] + added


def test_every_parameter_learns():
    torch.manual_seed(0)
    net = timm.create_model("resnext_cifar", depth=11, groups=4, width_per_group=4, se=True)
    net(torch.randn(4, 3, 16, 16)).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in net.parameters())


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"depth": 30}, r"model\.depth=30: must be 9n \+ 2; nearest: 29 and 38"),
        ({"groups": 0}, r"model\.groups=0: must be at least 1"),
        ({"width": 2}, r"model\.width=2: must be at least 4"),
        ({"width_per_group": -4}, r"model\.width_per_group=-4: must be at least 1"),
    ],
)
def test_wrong_knobs_are_one_line(knobs, message):
    with pytest.raises(UserError, match=message):
        timm.create_model("resnext_cifar", **knobs)

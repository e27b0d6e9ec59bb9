import pytest
import timm
import torch
import torch.nn.functional as F
from timm.layers import DropPath
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from cnnlab.backbones.blocks import Subsample
from cnnlab.errors import UserError

# He et al. 2016, Table 6 (millions, as printed); MACs: counted from the paper's layer table.
TABLE_6 = {20: "0.27", 32: "0.46", 44: "0.66", 56: "0.85", 110: "1.7", 1202: "19.4"}


def build(name, **knobs):
    with torch.device("meta"):
        return timm.create_model(name, **knobs)


def by_hand(depth, width=16, in_chans=3, classes=10, project=False):
    """Parameters and MACs at 32x32, layer by layer from the paper's text."""
    params, macs = in_chans * 9 * width + 2 * width, in_chans * 9 * width * 32 * 32
    for size, chans, before in (
        (32, width, width),
        (16, 2 * width, width),
        (8, 4 * width, 2 * width),
    ):
        for layer in range((depth - 2) // 3):
            weights = 9 * (before if layer == 0 else chans) * chans
            params += weights + 2 * chans
            macs += weights * size * size
        if project and before != chans:
            params += before * chans + 2 * chans
            macs += before * chans * size * size
    return params + (4 * width + 1) * classes, macs + 4 * width * classes


def count(net):
    with FlopCounterMode(display=False) as flops:
        net(torch.empty(1, net.stem[0].in_channels, 32, 32, device="meta"))
    return sum(p.numel() for p in net.parameters()), flops.get_total_flops() // 2


@pytest.mark.parametrize("depth", TABLE_6)
def test_cost_is_the_papers(depth):
    params, macs = count(build(f"resnet{depth}_cifar"))
    digits = len(TABLE_6[depth].partition(".")[2])
    assert f"{params / 1e6:.{digits}f}" == TABLE_6[depth]
    assert (params, macs) == by_hand(depth)


@pytest.mark.parametrize("depth", [20, 32, 44, 56, 110])
def test_plain_costs_the_same(depth):
    assert count(build(f"plain{depth}_cifar")) == by_hand(depth)


def test_knobs_change_the_cost():
    assert count(build("resnet_cifar", depth=26, width=24)) == by_hand(26, width=24)
    assert count(build("resnet20_cifar", shortcut="B")) == by_hand(20, project=True)
    assert by_hand(20, project=True)[0] == 272_474  # the deck's code
    assert count(build("plain_cifar", depth=8, in_chans=1)) == by_hand(8, in_chans=1)


@pytest.mark.parametrize("shortcut", ["A", "B", "none"])
def test_forward_is_the_papers(shortcut):
    """Written out with functions only, the shortcut by slicing."""
    torch.manual_seed(0)
    net = timm.create_model("resnet_cifar", depth=14, width=8, shortcut=shortcut)
    for _ in range(2):  # BatchNorm statistics that are not 0 and 1
        net(torch.randn(8, 3, 33, 31))
    net.eval()
    state = net.state_dict()

    def conv_bn(x, conv, bn, stride=1, padding=1):
        x = F.conv2d(x, state[f"{conv}.weight"], stride=stride, padding=padding)
        return F.batch_norm(
            x,
            state[f"{bn}.running_mean"],
            state[f"{bn}.running_var"],
            state[f"{bn}.weight"],
            state[f"{bn}.bias"],
        )

    images = torch.randn(2, 3, 33, 31)
    x = conv_bn(images, "stem.0", "stem.1").relu()
    for stage in (1, 2, 3):
        for block in range(2):
            at = f"stage{stage}.{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            y = conv_bn(x, f"{at}.conv1", f"{at}.bn1", stride).relu()
            y = conv_bn(y, f"{at}.conv2", f"{at}.bn2")
            if shortcut != "none" and stride == 2 and shortcut == "B":
                x = conv_bn(x, f"{at}.shortcut.0", f"{at}.shortcut.1", stride=2, padding=0)
            elif shortcut != "none":
                x = x[:, :, ::stride, ::stride]
                x = torch.cat([x, x.new_zeros(2, y.shape[1] - x.shape[1], *x.shape[2:])], dim=1)
            x = (y if shortcut == "none" else x + y).relu()
    logits = x.mean((2, 3)) @ state["head.fc.weight"].T + state["head.fc.bias"]
    torch.testing.assert_close(net(images), logits)


@pytest.mark.parametrize("size", [(8, 8), (7, 9), (1, 2)])
def test_subsample_is_slice_and_zeros(size):
    x = torch.randn(2, 3, *size, requires_grad=True)
    y = Subsample(3, 5, 2)(x)
    sliced = x[:, :, ::2, ::2]
    assert torch.equal(y, torch.cat([sliced, torch.zeros_like(sliced[:, :2])], dim=1))
    y.square().sum().backward()
    expected = torch.zeros_like(x)
    expected[:, :, ::2, ::2] = 2 * sliced
    assert torch.equal(x.grad, expected)


def test_stochastic_depth_is_linear():
    net = build("resnet20_cifar", drop_path=0.45)
    rates = [module.drop_prob for module in net.modules() if isinstance(module, DropPath)]
    assert rates == pytest.approx([0.05 * (block + 1) for block in range(9)])


def test_stochastic_depth_drops_residuals_only():
    torch.manual_seed(0)
    net = timm.create_model("resnet_cifar", depth=8, drop_path=1.0).train()
    x = torch.rand(2, 32, 8, 8)
    block = net.stage3[0]
    assert torch.equal(block(x), block.shortcut(x))


def test_initial_weights_are_hes():
    torch.manual_seed(0)
    for module in timm.create_model("resnet20_cifar", width=64).modules():
        if isinstance(module, nn.Conv2d):
            expected = (2 / (9 * module.out_channels)) ** 0.5
            assert module.weight.std().item() == pytest.approx(expected, rel=0.06)


@pytest.mark.parametrize("depth", [21, 2, 0, -4])
def test_wrong_depth_is_one_line(depth):
    with pytest.raises(UserError, match=f"model.depth={depth}: must be 6n \\+ 2; nearest: \\d+"):
        timm.create_model("resnet_cifar", depth=depth)


def test_wrong_knobs_are_one_line():
    with pytest.raises(UserError, match=r"model\.shortcut=C: must be A, B or none"):
        timm.create_model("resnet_cifar", shortcut="C")
    with pytest.raises(UserError, match="plain net"):
        timm.create_model("plain_cifar", drop_path=0.1)


@pytest.mark.parametrize("shortcut", ["A", "none"])
def test_squeeze_excitation_is_the_papers(shortcut):
    """Hu et al. 2018, eqs. 2-4, by hand, on the path and before the addition."""
    torch.manual_seed(0)
    net = timm.create_model("resnet_cifar", depth=8, width=32, shortcut=shortcut, se=True).eval()
    block, x = net.stage2[0], torch.randn(2, 32, 9, 7)
    u = block.bn2(block.conv2(block.bn1(block.conv1(x)).relu()))
    weights = block.se.state_dict()
    down, up = weights["fc1.weight"].squeeze(), weights["fc2.weight"].squeeze()
    assert down.shape == up.T.shape == (64 // 16, 64)
    z = (u.mean((2, 3)) @ down.T + weights["fc1.bias"]).relu()
    scale = (z @ up.T + weights["fc2.bias"]).sigmoid()
    added = block.shortcut(x) if block.shortcut is not None else 0
    torch.testing.assert_close(block(x), (u * scale[:, :, None, None] + added).relu())


def test_squeeze_excitation_costs_little():
    """2 C^2 / 16 weights a block and two biases; 16 channels keep one hidden unit."""
    added = sum(3 * (2 * c * c // 16 + c + c // 16) for c in (16, 32, 64))
    assert count(build("resnet20_cifar", se=True))[0] == 269_722 + added
    assert build("resnet20_cifar", width=8, se=True).stage1[0].se.fc1.out_channels == 1


def test_squeeze_excitation_is_off_by_default_and_leaves_no_trace():
    without = build("resnet20_cifar").state_dict()
    assert len(without) == 6 + 9 * 12 + 2  # stem, nine blocks, classifier
    added = set(build("resnet20_cifar", se=True).state_dict()) - set(without)
    assert added
    assert all(".se.fc" in key for key in added)

import pytest
import timm
import torch
import torch.nn.functional as F
from timm.layers import DropPath
from torch import nn

import cnnlab.backbones.wrn_cifar  # noqa: F401  (registers them)
from cnnlab.complexity.count import count
from cnnlab.errors import UserError

# Zagoruyko and Komodakis 2016, Table 4: millions of parameters for CIFAR-10.
TABLE_4 = {
    (40, 1): 0.6, (40, 2): 2.2, (40, 4): 8.9, (40, 8): 35.7, (28, 10): 36.5,
    (28, 12): 52.5, (22, 8): 17.2, (22, 10): 26.8, (16, 8): 11.0, (16, 10): 17.1,
}  # fmt: skip


def build(name, **knobs):
    with torch.device("meta"):
        return timm.create_model(name, **knobs)


def by_hand(depth, widen, classes=10):
    """Parameters and MACs at 32x32 from the paper's Table 1, layer by layer."""
    params, macs, before = 27 * 16, 27 * 16 * 32 * 32, 16
    for size, chans in ((32, 16 * widen), (16, 32 * widen), (8, 64 * widen)):
        for _ in range((depth - 4) // 6):
            weights = 9 * before * chans + 9 * chans * chans
            if before != chans:
                weights += before * chans
            params += weights + 2 * before + 2 * chans
            macs += weights * size * size
            before = chans
    return params + 2 * before + (before + 1) * classes, macs + before * classes


@pytest.mark.parametrize(("depth", "widen"), TABLE_4)
def test_cost_is_table_4s(depth, widen):
    counted = count(build(f"wrn{depth}_{widen}"), (3, 32, 32))
    assert (counted.params, counted.macs) == by_hand(depth, widen)
    assert abs(counted.params / 1e6 - TABLE_4[depth, widen]) < 0.05  # one digit is printed


def test_knobs_change_the_cost():
    counted = count(build("wrn_cifar", depth=10, widen=3, num_classes=100), (3, 32, 32))
    assert (counted.params, counted.macs) == by_hand(10, 3, classes=100)
    assert by_hand(28, 10, classes=100)[0] == 36_536_884


@pytest.mark.parametrize("widen", [1, 2])
def test_forward_is_the_released_codes(widen):
    """Functions only. Where channels change the shortcut starts behind the first BN and ReLU."""
    torch.manual_seed(0)
    net = timm.create_model("wrn_cifar", depth=16, widen=widen)
    for _ in range(2):  # BatchNorm statistics that are not 0 and 1
        net(torch.randn(8, 3, 33, 31))
    net.eval()
    state = net.state_dict()

    def bn_relu(x, at):
        names = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(state[f"{at}.{name}"] for name in names)).relu()

    images = torch.randn(2, 3, 33, 31)
    x = F.conv2d(images, state["stem.weight"], padding=1)
    for stage in (1, 2, 3):
        for block in range(2):
            at = f"stage{stage}.{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            y = bn_relu(x, f"{at}.bn1")
            if block == 0 and x.shape[1] != 16 * widen * 2 ** (stage - 1):
                x = F.conv2d(y, state[f"{at}.shortcut.weight"], stride=stride)
            y = F.conv2d(y, state[f"{at}.path.conv1.weight"], stride=stride, padding=1)
            y = bn_relu(y, f"{at}.path.bn2")
            x = x + F.conv2d(y, state[f"{at}.path.conv2.weight"], padding=1)
    x = bn_relu(x, "stage3.2")
    torch.testing.assert_close(net.forward_features(images), x)
    logits = x.mean((2, 3)) @ state["head.fc.weight"].T + state["head.fc.bias"]
    torch.testing.assert_close(net(images), logits)


def test_dropout_is_between_the_convolutions():
    """At 1 the second convolution sees zeros, and the shortcut is left."""
    torch.manual_seed(0)
    net = timm.create_model("wrn_cifar", depth=10, widen=1, dropout=1.0)
    block, x = net.stage1[0].train(), torch.randn(2, 16, 8, 8)
    assert torch.equal(block(x), x)
    assert not torch.equal(block.eval()(x), x)
    assert isinstance(block.path.dropout, nn.Dropout)
    plain = build("wrn_cifar", depth=10, widen=1)
    assert list(net.state_dict()) == list(plain.state_dict())  # weights fit either way


def test_stochastic_depth_and_squeeze_excitation():
    net = build("wrn16_8", drop_path=0.3, se=True)
    rates = [module.drop_prob for module in net.modules() if isinstance(module, DropPath)]
    assert rates == pytest.approx([0.05 * (block + 1) for block in range(6)])
    added = sum(2 * (2 * c * c // 16 + c + c // 16) for c in (128, 256, 512))
    assert sum(p.numel() for p in net.parameters()) == 10_961_370 + added


def test_initial_weights_are_the_released_codes():
    """Normal with variance 2 / (k * k * C_out), the 1x1 projections included."""
    torch.manual_seed(0)
    for module in timm.create_model("wrn_cifar", depth=10, widen=4).modules():
        if isinstance(module, nn.Conv2d):
            expected = (2 / (module.kernel_size[0] ** 2 * module.out_channels)) ** 0.5
            assert module.weight.std().item() == pytest.approx(expected, rel=0.08)


@pytest.mark.parametrize("depth", [28 + 1, 4, 0])
def test_wrong_depth_is_one_line(depth):
    with pytest.raises(UserError, match=f"model.depth={depth}: must be 6n \\+ 4; nearest: \\d+"):
        timm.create_model("wrn_cifar", depth=depth)


def test_wrong_factor_is_one_line():
    with pytest.raises(UserError, match=r"model\.widen=0: must be at least 1"):
        timm.create_model("wrn_cifar", widen=0)

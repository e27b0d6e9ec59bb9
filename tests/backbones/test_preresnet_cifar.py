import pytest
import timm
import torch
import torch.nn.functional as F
from timm.layers import DropPath

import cnnlab.backbones.preresnet_cifar  # noqa: F401  (registers them)
from cnnlab.complexity.count import count
from cnnlab.errors import UserError


def build(name, **knobs):
    with torch.device("meta"):
        return timm.create_model(name, **knobs)


def by_hand(depth, bottleneck, width=16):
    """Parameters and MACs at 32x32, layer by layer from the released code."""
    params, macs, before = 27 * width, 27 * width * 32 * 32, width
    for stage, size in enumerate((32, 16, 8)):
        for _ in range((depth - 2) // (9 if bottleneck else 6)):
            mid = width * 2**stage
            chans = 4 * mid if bottleneck else mid
            if bottleneck:
                weights = before * mid + 9 * mid * mid + mid * chans
                weights += before * chans if before != chans else 0
                norms = before + mid + mid
            else:
                weights = 9 * before * chans + 9 * chans * chans
                norms = before + chans
            params += weights + 2 * norms
            macs += weights * size * size
            before = chans
    return params + 2 * before + (before + 1) * 10, macs + before * 10


@pytest.mark.parametrize(
    ("name", "depth", "bottleneck", "printed"),
    [("preresnet110_cifar", 110, False, 1.7), ("preresnet164_cifar", 164, True, 1.7)],
)
def test_cost_is_the_papers(name, depth, bottleneck, printed):
    counted = count(build(name), (3, 32, 32))
    assert (counted.params, counted.macs) == by_hand(depth, bottleneck)
    assert abs(counted.params / 1e6 - printed) < 0.05  # one digit is printed


@pytest.mark.slow
def test_size_of_1001_layers():
    """10.2 M in the paper's Table 4: 1.2 % below what its released code has."""
    net = build("preresnet1001_cifar")
    params = sum(p.numel() for p in net.parameters())
    assert params == by_hand(1001, True)[0] == 10_327_706
    convolutions = [m for m in net.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(convolutions) + 1 == 1001 + 3  # the classifier; projections do not count


def test_knobs_change_the_cost():
    for depth, bottleneck in ((14, False), (20, True)):
        net = build("preresnet_cifar", depth=depth, bottleneck=bottleneck, width=24)
        counted = count(net, (3, 32, 32))
        assert (counted.params, counted.macs) == by_hand(depth, bottleneck, width=24)


@pytest.mark.parametrize("bottleneck", [False, True])
def test_forward_is_the_papers(bottleneck):
    """Functions only: BN, ReLU, convolution; shared before path and shortcut if channels change."""
    torch.manual_seed(0)
    depth = 20 if bottleneck else 14
    net = timm.create_model("preresnet_cifar", depth=depth, width=8, bottleneck=bottleneck)
    for _ in range(2):  # BatchNorm statistics that are not 0 and 1
        net(torch.randn(8, 3, 33, 31))
    net.eval()
    state = net.state_dict()

    def bn_relu(x, at):
        names = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(state[f"{at}.{name}"] for name in names)).relu()

    images = torch.randn(2, 3, 33, 31)
    x = F.conv2d(images, state["stem.weight"], padding=1)
    maps = []
    for stage in (1, 2, 3):
        for block in range(2):
            at = f"stage{stage}.{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            y = bn_relu(x, f"{at}.bn1")
            if f"{at}.shortcut.weight" in state:
                x = F.conv2d(y, state[f"{at}.shortcut.weight"], stride=stride)
            elif stride == 2:  # option A
                x = y[:, :, ::2, ::2]
                x = torch.cat([x, torch.zeros_like(x)], dim=1)
            for layer in (1, 2, 3) if bottleneck else (1, 2):
                weight = state[f"{at}.path.conv{layer}.weight"]
                y = y if layer == 1 else bn_relu(y, f"{at}.path.bn{layer}")
                first = stride if layer == 1 else 1
                y = F.conv2d(y, weight, stride=first, padding=weight.shape[-1] // 2)
            x = x + y
        maps.append(x)
    maps[2] = bn_relu(x, "stage3.2")
    logits = maps[2].mean((2, 3)) @ state["head.fc.weight"].T + state["head.fc.bias"]
    torch.testing.assert_close(net(images), logits)
    features = timm.create_model(
        "preresnet_cifar", depth=depth, width=8, bottleneck=bottleneck, features_only=True
    ).eval()
    features.load_state_dict({k: v for k, v in state.items() if not k.startswith("head.")})
    for ours, expected in zip(features(images), maps, strict=True):
        torch.testing.assert_close(ours, expected)


def test_projections_where_channels_change_only():
    changes = {
        bottleneck: [
            name
            for name, module in build(
                "preresnet_cifar", depth=38, bottleneck=bottleneck
            ).named_modules()
            if name.endswith(".shortcut")
        ]
        for bottleneck in (False, True)
    }
    assert changes[False] == ["stage2.0.shortcut", "stage3.0.shortcut"]
    assert changes[True] == ["stage1.0.shortcut", *changes[False]]  # 16 to 64 channels


def test_squeeze_excitation_and_stochastic_depth():
    net = build("preresnet164_cifar", drop_path=0.54, se=True)
    rates = [module.drop_prob for module in net.modules() if isinstance(module, DropPath)]
    assert rates == pytest.approx([0.01 * (block + 1) for block in range(54)])
    added = sum(18 * (2 * c * c // 16 + c + c // 16) for c in (64, 128, 256))
    assert sum(p.numel() for p in net.parameters()) == 1_703_258 + added


def test_a_dropped_path_leaves_the_shortcut():
    torch.manual_seed(0)
    net = timm.create_model("preresnet_cifar", depth=20, drop_path=1.0, se=True).train()
    x = torch.randn(2, 256, 5, 5)
    assert torch.equal(net.stage3[1](x), x)


def test_every_parameter_learns():
    torch.manual_seed(0)
    for bottleneck, depth in ((False, 8), (True, 11)):
        net = timm.create_model(
            "preresnet_cifar", depth=depth, bottleneck=bottleneck, width=64, se=True, in_chans=1
        )
        net(torch.randn(4, 1, 16, 16)).square().sum().backward()
        assert all(p.grad is not None and p.grad.any() for p in net.parameters())


@pytest.mark.parametrize(
    ("bottleneck", "depth", "rule"), [(True, 111, "9n"), (True, 2, "9n"), (False, 163, "6n")]
)
def test_wrong_depth_is_one_line(bottleneck, depth, rule):
    with pytest.raises(UserError, match=f"model.depth={depth}: must be {rule} \\+ 2; nearest: "):
        timm.create_model("preresnet_cifar", depth=depth, bottleneck=bottleneck)

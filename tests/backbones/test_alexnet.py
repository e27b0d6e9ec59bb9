import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

import cnnlab.backbones.alexnet  # noqa: F401  (registers it)
from cnnlab.backbones.blocks import local_response_norm
from cnnlab.complexity.count import count
from cnnlab.errors import UserError
from cnnlab.reference import rows

# Deck 1: "Full (simplified) AlexNet architecture", row by row; parameters by hand.
DECK_1 = {
    "stage1.0": ((96, 55, 55), (11 * 11 * 3 + 1) * 96),
    "stage2.0": ((96, 27, 27), 0),
    "stage2.2": ((256, 27, 27), (5 * 5 * 96 + 1) * 256),
    "stage3.0": ((256, 13, 13), 0),
    "stage3.2": ((384, 13, 13), (3 * 3 * 256 + 1) * 384),
    "stage3.4": ((384, 13, 13), (3 * 3 * 384 + 1) * 384),
    "stage3.6": ((256, 13, 13), (3 * 3 * 384 + 1) * 256),
    "head.pool": ((256, 6, 6), 0),
    "head.fc6": ((4096,), (6 * 6 * 256 + 1) * 4096),
    "head.fc7": ((4096,), (4096 + 1) * 4096),
    "head.fc": ((1000,), (4096 + 1) * 1000),
}


def build(name, **knobs):
    with torch.device("meta"):
        return timm.create_model(name, **knobs)


def test_rows_of_deck_1_can_be_read_off():
    cost = count(build("alexnet"), (3, 227, 227))
    rows = {layer.name: (layer.output, layer.params) for layer in cost.layers}
    assert {name: rows[name] for name in DECK_1} == DECK_1
    assert cost.params == sum(params for _, params in DECK_1.values()) == 62_378_344
    assert cost.macs == 1_135_256_096
    assert cost.activations == 659_272  # the deck: 650k neurons


def test_two_groups_halve_three_layers():
    cost = count(build("alexnet_grouped"), (3, 227, 227))
    halves = 5 * 5 * 48 * 256 + 3 * 3 * 192 * (384 + 256)
    assert cost.params == 62_378_344 - halves == 60_965_224
    assert cost.macs == 724_406_816
    assert count(build("alexnet", groups=2), (3, 227, 227)).params == 60_965_224


def response_norm(x):
    """Section 3.3, written out: each map by the maps up to two away."""
    squares = F.pad(x.square(), (0, 0, 0, 0, 2, 2))
    near = sum(squares[:, i : i + x.shape[1]] for i in range(5))
    return x / (2 + 1e-4 * near) ** 0.75


def test_response_norm_is_the_papers():
    ones = torch.ones(1, 5, 1, 1)
    assert local_response_norm()(ones)[0, 2].item() == pytest.approx(0.5944921, abs=1e-6)
    x = 30 * torch.randn(2, 9, 3, 3)
    torch.testing.assert_close(local_response_norm()(x), response_norm(x))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("name", ["alexnet_grouped", "alexnet"])
def test_features_are_the_papers(name, activation):
    """Layer by layer, the two groups as two convolutions."""
    torch.manual_seed(0)
    net = build(name, activation=activation, features_only=True).to_empty(device="cpu")
    convs = [module for module in net.modules() if isinstance(module, torch.nn.Conv2d)]
    for conv in convs:
        torch.nn.init.kaiming_normal_(conv.weight)  # large enough to feel the norms
        torch.nn.init.normal_(conv.bias)

    def layer(x, index, columns=1, **geometry):
        weights = convs[index].weight.chunk(columns)
        columns = [
            F.conv2d(part, w, **geometry)
            for part, w in zip(x.chunk(columns, 1), weights, strict=True)
        ]
        return getattr(torch.cat(columns, 1) + convs[index].bias.view(-1, 1, 1), activation)()

    def pool(x):
        return F.max_pool2d(x, 3, 2)

    images = 3 * torch.randn(1, 3, 67, 83)
    if name == "alexnet":
        first = layer(images, 0, stride=4)
        second = layer(response_norm(pool(first)), 1, padding=2)
        x, columns = response_norm(pool(second)), 1
    else:
        first = response_norm(layer(images, 0, stride=4))
        second = response_norm(layer(pool(first), 1, columns=2, padding=2))
        x, columns = pool(second), 2
    x = layer(layer(x, 2, padding=1), 3, columns, padding=1)
    third = layer(x, 4, columns, padding=1)
    for ours, expected in zip(net(images), (first, second, third), strict=True):
        torch.testing.assert_close(ours, expected, atol=1e-4, rtol=1e-4)


def like(conv):
    """An empty convolution of the same shape."""
    geometry = conv.kernel_size, conv.stride, conv.padding, conv.dilation
    return nn.Conv2d(conv.in_channels, conv.out_channels, *geometry, conv.groups)


@pytest.mark.parametrize(("name", "groups"), [("alexnet", 1), ("alexnet_grouped", 2)])
def test_equals_torchvisions_with_the_papers_widths(name, groups):
    """torchvision's net (Krizhevsky 2014) has other convolutions and no response normalisation."""
    torch.manual_seed(0)
    ours = build(name, num_classes=7).to_empty(device="cpu").eval()
    for parameter in ours.parameters():
        nn.init.normal_(parameter, std=0.02)
    assert [conv.groups for conv in convs_of(ours)] == [1, groups, 1, groups, groups]
    with torch.device("meta"):
        theirs = torchvision.models.alexnet(num_classes=7).eval()
        for (place, _), conv in zip(
            [(k, m) for k, m in theirs.features.named_children() if isinstance(m, nn.Conv2d)],
            convs_of(ours),
            strict=True,
        ):
            theirs.features.set_submodule(place, like(conv))
    norms = [k for k, m in ours.named_modules() if isinstance(m, nn.LocalResponseNorm)]
    assert len(norms) == 2
    for norm in norms:
        ours.set_submodule(norm, nn.Identity())
    values = ours.state_dict().values()
    theirs.load_state_dict(dict(zip(theirs.state_dict(), values, strict=True)), assign=True)
    images = torch.randn(2, 3, 227, 240)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images))


def convs_of(net):
    return [module for module in net.modules() if isinstance(module, nn.Conv2d)]


def test_torchvisions_own_net_has_its_published_cost():
    (row,) = [r for r in rows() if r.system == "AlexNet" and r.variant.startswith("torchvision")]
    with torch.device("meta"):
        cost = count(torchvision.models.alexnet(), row.input_size)
    assert cost.params == row.measured_params == pytest.approx(1e6 * row.params_m)
    assert cost.macs == row.measured_macs == pytest.approx(1e9 * row.gmacs, rel=1e-3)


def test_head_and_initial_values():
    torch.manual_seed(0)
    net = timm.create_model("alexnet_grouped", num_classes=5).eval()
    state = net.state_dict()
    biases = [state[key][0].item() for key in state if key.endswith("bias")]
    assert biases == [0, 1, 0, 1, 1, 1, 1, 0]  # conv1 ... conv5, fc6, fc7, fc8
    for key, value in state.items():
        if key.endswith("weight") and value.numel() > 30_000:
            assert value.std().item() == pytest.approx(0.01, rel=0.02)
    features = torch.rand(2, 256, 13, 13)
    x = F.max_pool2d(features, 3, 2).flatten(1)
    for layer in ("fc6", "fc7", "fc"):
        x = F.linear(x, state[f"head.{layer}.weight"], state[f"head.{layer}.bias"])
        x = x if layer == "fc" else x.relu()
    torch.testing.assert_close(net.forward_head(features), x)
    net.reset_classifier(9)
    assert net.head.fc.weight.std().item() == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize("name", ["alexnet_grouped", "alexnet"])
def test_takes_227_to_258(name):
    net = build(name)
    for size in (227, 258):
        assert net(torch.empty(1, 3, size, size, device="meta")).shape == (1, 1000)
    told = rf"model\.name={name} classifies images of 227x227 to 258x258 pixels .*; these have "
    for size in (12, 32, 224, 226, 259):
        for height, width in ((size, size), (size, 227), (227, size)):
            with pytest.raises(UserError, match=f"{told}{height}x{width}$"):
                net(torch.empty(1, 3, height, width, device="meta"))
    features = build(name, features_only=True)
    assert features(torch.empty(1, 3, 35, 36, device="meta"))[-1].shape == (1, 256, 1, 1)


def test_wrong_knobs_are_one_line():
    with pytest.raises(UserError, match=r"model\.groups=3: must be 1, 2, 4, 8, 16 or 32"):
        build("alexnet", groups=3)
    with pytest.raises(UserError, match=r"model\.activation=gelu: must be relu or tanh"):
        build("alexnet", activation="gelu")
    rates = [m.p for m in build("alexnet", dropout=0.25).modules() if hasattr(m, "p")]
    assert rates == [0.25]

import pytest
import timm
import torch
import torch.nn.functional as F

import cnnlab.backbones.zfnet  # noqa: F401  (registers it)
from cnnlab.complexity.count import count
from cnnlab.errors import UserError


def build(name, **knobs):
    with torch.device("meta"):
        return timm.create_model(name, **knobs)


def by_hand(c, d, e):
    """Parameters and MACs at 224x224 from the sizes that Fig. 3 prints."""
    layers = [  # filters, of so many weights, on so many places
        (96, 7 * 7 * 3, 110 * 110),
        (256, 5 * 5 * 96, 26 * 26),
        (c, 9 * 256, 13 * 13),
        (d, 9 * c, 13 * 13),
        (e, 9 * d, 13 * 13),
        (4096, 6 * 6 * e, 1),
        (4096, 4096, 1),
        (1000, 4096, 1),
    ]
    return sum(n * (w + 1) for n, w, _ in layers), sum(n * w * at for n, w, at in layers)


@pytest.mark.parametrize(
    ("name", "filters", "published"),  # pytorchcv's zfnet and zfnetb
    [
        ("zfnet", (384, 384, 256), (62_357_608, 1_168.0)),
        ("zfnet_b", (512, 1024, 512), (107_627_624, 2_476.7)),
    ],
)
def test_cost_is_the_papers(name, filters, published):
    cost = count(build(name), (3, 224, 224))
    assert (cost.params, cost.macs) == by_hand(*filters)
    assert cost.params == published[0]
    assert round(cost.macs / 1e6, 1) == published[1]
    other = count(build("zfnet", filters=filters), (3, 224, 224))
    assert (other.params, other.macs) == (cost.params, cost.macs)


def test_maps_have_the_sizes_of_figure_3():
    net = build("zfnet", features_only=True)
    maps = net(torch.empty(1, 3, 224, 224, device="meta"))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (96, 110, 110),
        (96, 55, 55),
        (256, 26, 26),
        (256, 13, 13),
    ]


def test_features_are_the_papers():
    torch.manual_seed(0)
    net = build("zfnet", filters=(16, 24, 8), features_only=True).to_empty(device="cpu")
    convs = [module for module in net.modules() if isinstance(module, torch.nn.Conv2d)]
    for conv in convs:
        torch.nn.init.kaiming_normal_(conv.weight)
        torch.nn.init.normal_(conv.bias)

    def pool_and_norm(x):
        pooled = F.max_pool2d(F.pad(x, (1, 1, 1, 1), value=float("-inf")), 3, 2)
        near = F.pad(pooled.square(), (0, 0, 0, 0, 2, 2)).unfold(1, 5, 1).sum(-1)
        return pooled / (2 + 1e-4 * near) ** 0.75

    images = 3 * torch.randn(1, 3, 61, 72)
    first = F.conv2d(images, convs[0].weight, convs[0].bias, stride=2, padding=1).relu()
    second = pool_and_norm(first)
    third = F.conv2d(second, convs[1].weight, convs[1].bias, stride=2).relu()
    x = pool_and_norm(third)
    for conv in convs[2:]:
        x = F.conv2d(x, conv.weight, conv.bias, padding=1).relu()
    for ours, expected in zip(net(images), (first, second, third, x), strict=True):
        torch.testing.assert_close(ours, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["zfnet", "zfnet_b"])
def test_takes_213_to_244(name):
    net = build(name)
    for size in (213, 224, 244):
        assert net(torch.empty(1, 3, size, size, device="meta")).shape == (1, 1000)
    told = rf"model\.name={name} classifies images of 213x213 to 244x244 pixels .*; these have "
    for size in (12, 32, 212, 245):
        with pytest.raises(UserError, match=f"{told}{size}x{size}$"):
            net(torch.empty(1, 3, size, size, device="meta"))
    features = build(name, features_only=True)
    assert features(torch.empty(1, 3, 21, 22, device="meta"))[-1].shape[-2:] == (1, 1)


@pytest.mark.parametrize("filters", [[384, 384], [384, 0, 256]])
def test_wrong_filters_are_one_line(filters):
    with pytest.raises(UserError, match=r"model\.filters=\[384, .*\]: must be three positive"):
        build("zfnet", filters=filters)

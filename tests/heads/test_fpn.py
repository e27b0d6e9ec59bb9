import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelP6P7

from cnnlab.heads.fpn import FPN


def maps(channels, sides, batch=2):
    return [torch.randn(batch, c, *s) for c, s in zip(channels, sides, strict=True)]


def test_is_torchvisions_pyramid_with_p6_and_p7():
    ours = FPN([6, 8, 10], 4, 5)
    theirs = FeaturePyramidNetwork([6, 8, 10], 4, LastLevelP6P7(4, 4))
    names = [k for k in theirs.state_dict() if k.endswith("weight")]
    assert len(names) == 8
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
    given = maps([6, 8, 10], [(20, 12), (10, 6), (5, 3)])
    expected = theirs({str(i): x for i, x in enumerate(given)}).values()
    for mine, other in zip(ours(given), expected, strict=True):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("levels", [1, 2, 4])
def test_of_one_map(levels):
    """Nets for small images have one: a 1x1 and a 3x3 convolution, then halves of it."""
    net = FPN([3], 4, levels)
    (one,) = maps([3], [(9, 7)])
    found = net([one])
    assert [tuple(x.shape[-2:]) for x in found] == [(9, 7), (5, 4), (3, 2), (2, 1)][:levels]
    inner, outer = (block[0][0] for block in (net.pyramid.inner_blocks, net.pyramid.layer_blocks))
    torch.testing.assert_close(found[0], outer(inner(one)))


@pytest.mark.parametrize(
    "sides", [[(55, 41), (27, 20), (13, 9)], [(4, 4), (4, 4)], [(7, 5), (1, 1)]]
)
def test_odd_dilated_and_far_maps_are_joined(sides):
    channels = [5] * len(sides)
    net = FPN(channels, 4, 4)
    given = maps(channels, sides)
    found = net(given)
    assert [tuple(x.shape[-2:]) for x in found[: len(sides)]] == sides
    with torch.no_grad():  # the top-down path: what is added to the finest is the next one enlarged
        inner = [block[0](x) for block, x in zip(net.pyramid.inner_blocks, given, strict=True)]
        total = inner[-1]
        for finer in reversed(inner[:-1]):
            total = finer + F.interpolate(total, finer.shape[-2:], mode="nearest")
        torch.testing.assert_close(found[0], net.pyramid.layer_blocks[0][0](total))


def test_every_level_learns():
    net = FPN([5, 6], 4, 4)
    sum(x.square().mean() for x in net(maps([5, 6], [(8, 8), (4, 4)]))).backward()
    assert all(p.grad is not None and p.grad.any() for p in net.parameters())
    assert not any(isinstance(m, nn.BatchNorm2d) for m in net.modules())

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cnnlab.backbones import create
from cnnlab.errors import UserError
from cnnlab.heads.unet import UNet, enlarging


def head(net="resnet18", num_classes=5, *, knobs=None, **given):
    backbone = partial(create, name=net, weights=None, freeze=0, seed=0, knobs=knobs or {})
    keys = {"width": 4, "depth": None, "skips": True, "upsampling": "bilinear", "score_kernel": 3}
    return UNet(backbone, num_classes, 3, **keys | given)


def test_widths_follow_the_strides():
    net = head(width=16)
    assert net.reductions == [2, 4, 8, 16, 32]
    # smp's decoder_channels at the same strides (its last, 16, is of stride 1).
    assert [block[0][0].out_channels for block in net.blocks] == [256, 128, 64, 32]


def test_depth_cuts_the_backbone():
    net = head(depth=3)
    assert net.reductions == [2, 4, 8]
    assert len(net.blocks) == 2
    assert not hasattr(net.backbone, "layer4")
    with pytest.raises(UserError, match=r"head\.depth=6: the net has fewer maps"):
        head(depth=6)


def test_one_map_is_scored_as_it_is():
    net = head(depth=1)
    assert not len(net.blocks)
    assert net(torch.rand(1, 3, 33, 47)).shape == (1, 5, 33, 47)


@pytest.mark.parametrize("skips", [True, False])
def test_skips_carry_the_finer_maps(skips):
    net = head(skips=skips).eval()
    maps = [x.detach().requires_grad_() for x in net.maps(torch.rand(1, 3, 64, 64))]
    net.decode(maps).sum().backward()
    assert all((x.grad is not None) == skips for x in maps[:-1])
    assert maps[-1].grad is not None


@pytest.mark.parametrize("how", ["transposed", "bilinear_conv", "pixel_shuffle"])
@pytest.mark.parametrize("factor", [1, 2, 4])
def test_enlarging_by_any_factor(how, factor):
    layer = enlarging(6, 4, factor, how)
    assert layer(torch.rand(2, 6, 5, 7)).shape == (2, 4, 5 * factor, 7 * factor)


def test_bilinear_leaves_the_channels_to_the_convolutions_after_it():
    net = head(width=16)
    first = [block[0][0].in_channels for block in net.blocks]
    # As smp's decoder: what comes from below, and ResNet-18's map of that stride.
    assert first == [512 + 256, 256 + 128, 128 + 64, 64 + 64]
    assert not list(net.ups.parameters())
    x = torch.rand(1, 3, 6, 6)
    assert torch.equal(
        enlarging(3, 3, 4, "bilinear")(x), F.interpolate(x, scale_factor=4, mode="bilinear")
    )


def test_bilinear_conv_is_the_convolution_enlarged():
    layer, x = enlarging(3, 2, 2, "bilinear_conv"), torch.rand(1, 3, 6, 6)
    convolution = layer[0]
    want = F.interpolate(convolution(x), scale_factor=2, mode="bilinear")
    torch.testing.assert_close(layer(x), want)


def test_maps_of_one_size_are_joined_without_enlarging():
    net = head(knobs={"output_stride": 8})
    assert net.reductions == [2, 4, 8, 8, 8]
    assert [type(up) for up in net.ups][:2] == [nn.Identity, nn.Identity]
    assert net(torch.rand(1, 3, 45, 61)).shape == (1, 5, 45, 61)
    linear = head(knobs={"output_stride": 8}, upsampling="transposed")
    assert [type(up) for up in linear.ups][:2] == [nn.Conv2d, nn.Conv2d]


def test_few_channels_score_over_3x3():
    """Why score_kernel is 3: with Adam a score of 16 channels would hardly move in a few steps."""
    losses = {}
    for kernel in (1, 3):
        torch.manual_seed(0)
        net = head(width=4, depth=3, score_kernel=kernel)
        images, targets = torch.rand(2, 3, 32, 32), torch.randint(5, (2, 4, 4))
        targets = targets.repeat_interleave(8, 1).repeat_interleave(8, 2)
        optimizer = torch.optim.Adam(net.parameters(), 1e-3)
        for _ in range(30):
            loss = F.cross_entropy(net(images), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses[kernel] = loss.item()
    assert losses[3] < losses[1] - 0.1

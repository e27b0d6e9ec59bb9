from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cnnlab.backbones import create
from cnnlab.complexity.count import count
from cnnlab.errors import UserError
from cnnlab.heads.unet import UNet
from cnnlab.heads.unet_valid import UNetValid, mirrored

NET = partial(create, weights=None, freeze=0, seed=0, knobs={})


def small():
    torch.manual_seed(0)
    net = UNetValid(partial(NET, name="unet_valid", width=2), 3, 1).eval()
    for name, parameter in net.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter, std=0.1)
    return net


def whole():
    with torch.device("meta"):
        return UNetValid(partial(NET, name="unet_valid"), 2, 1).eval()


def test_cost_is_that_of_figure_1():
    """Figure 1's input of 572 is what an image of 388 is extended to."""
    cost = count(whole(), (1, 388, 388))
    assert (cost.params, cost.macs) == (31_030_658, 150_428_424_448)


def test_without_mirroring_572_gives_388():
    net = whole()
    assert net.decode(net.maps(torch.empty(1, 1, 572, 572, device="meta"))).shape[1:] == (
        2,
        388,
        388,
    )


def test_decodes_as_the_paper():
    """From the maps up, cropped by numbers: at 572 the figure crops 64 to 56, by 4 a side."""
    net = small()
    images = torch.rand(1, 1, 188, 204)
    ups = [m for m in net.modules() if isinstance(m, nn.ConvTranspose2d)]
    others = [m for name, m in net.named_modules() if "backbone" not in name]
    convs = [m for m in others if isinstance(m, nn.Conv2d)]
    with torch.no_grad():
        maps = net.maps(images)
        x = maps[-1]
        for level, margin in ((3, 4), (2, 16), (1, 40), (0, 88)):
            up = ups[3 - level]
            x = F.conv_transpose2d(x, up.weight, up.bias, stride=2)
            inner = slice(margin, -margin)
            x = torch.cat([maps[level][..., inner, inner], x], 1)
            for conv in convs[2 * (3 - level) : 2 * (3 - level) + 2]:
                x = F.conv2d(x, conv.weight, conv.bias).relu()
        expected = F.conv2d(x, convs[-1].weight, convs[-1].bias)
        assert expected.shape == (1, 3, 4, 20)
        torch.testing.assert_close(net.decode(maps), expected)


@pytest.mark.parametrize("size", [(1, 1), (2, 7), (4, 20), (33, 47), (64, 50)])
def test_logits_are_those_of_the_mirrored_image(size):
    """92 pixels more on each side, and what the pools need below and on the right."""
    net = small()
    images = torch.rand(2, 1, *size)
    widths = [(92, 92 + (4 - side) % 16) for side in size]
    extended = np.pad(images.numpy(), [(0, 0), (0, 0), *widths], mode="reflect")
    with torch.no_grad():
        centre = net.decode(net.maps(torch.from_numpy(extended)))
        logits = net(images)
    assert logits.shape == (2, 3, *size)
    torch.testing.assert_close(logits, centre[..., : size[0], : size[1]])


def test_tiles_overlap_seamlessly():
    """Section 2: a part of the image that is cut with its context gets the scores of the whole."""
    net = small()
    image = torch.rand(1, 1, 230, 228)
    with torch.no_grad():
        tile = net.decode(net.maps(image[..., 20 : 20 + 188, 36 : 36 + 188]))
        torch.testing.assert_close(net(image)[..., 112:116, 128:132], tile)


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 3), (6, 4), (9, 30)])
@pytest.mark.parametrize("rows", [(0, 0), (3, 2), (11, 29)])
def test_mirroring_is_numpys(size, rows):
    images = torch.rand(2, 3, *size)
    columns = (7, 18)
    expected = np.pad(images.numpy(), [(0, 0), (0, 0), rows, columns], mode="reflect")
    assert np.array_equal(mirrored(images, rows, columns).numpy(), expected)


def test_every_parameter_learns():
    net = small().train()
    net(torch.rand(1, 1, 20, 24)).square().mean().backward()
    assert all(parameter.grad.any() for parameter in net.parameters())


def test_weights_begin_as_section_3_says():
    """Deviation sqrt(2 / N); an up-convolution's neuron has one input a channel."""
    net = UNetValid(partial(NET, name="unet_valid", width=16), 2, 1)
    for module in [*net.ups, *net.blocks[:3].modules()]:
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            taps = 1 if isinstance(module, nn.ConvTranspose2d) else 9
            deviation = (2 / (taps * module.in_channels)) ** 0.5
            assert module.weight.std().item() == pytest.approx(deviation, rel=0.05)
            assert not module.bias.any()


@pytest.mark.parametrize("name", ["unet_same", "vgg16", "resnet18", "lenet5_modern"])
def test_another_backbone_is_one_line(name):
    told = r"head=unet_valid: needs two 3x3 convolutions a level, none of them padded"
    with torch.device("meta"), pytest.raises(UserError, match=told):
        UNetValid(partial(NET, name=name), 2, 1)


def test_unet_same_under_our_decoder_is_the_padded_u_net():
    """31,037,698 parameters; the row's MACs are of a build that crops to even sides, ours does not.

    At a side of 576 nothing is left to crop, and both are the same formula.
    """
    with torch.device("meta"):
        net = UNet(
            partial(NET, name="unet_same"), 2, 3,
            width=64, depth=None, skips=True, upsampling="transposed",
            score_kernel=1,
        )  # fmt: skip

    def macs(encoder, decoder):
        total, chans = 0, 3
        for level, side in enumerate(encoder):
            out = 64 * 2**level
            total += 9 * (chans * out + out * out) * side**2
            chans = out
        for level, (below, side) in zip((3, 2, 1, 0), decoder, strict=True):
            out = 64 * 2**level
            total += 4 * 2 * out * out * below**2 + 9 * (2 * out * out + out * out) * side**2
        return total + 64 * 2 * decoder[-1][1] ** 2

    encoder = (572, 286, 143, 71, 35)
    cropping = macs(encoder, [(35, 70), (70, 140), (140, 280), (280, 560)])
    resizing = macs(encoder, [(35, 71), (71, 143), (143, 286), (286, 572)])
    assert cropping == 233_034_050_560
    cost = count(net, (3, 572, 572))
    assert (cost.params, cost.macs) == (31_037_698, resizing)

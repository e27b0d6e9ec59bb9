import math
from fractions import Fraction
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cnnlab.backbones import create
from cnnlab.complexity.count import count
from cnnlab.errors import UserError
from cnnlab.heads.fcn_vgg import FCNVGG

NET = partial(create, weights=None, freeze=0, seed=0, knobs={})


def head(stride, num_classes=21, name="fcn_vgg16"):
    return FCNVGG(partial(NET, name=name), num_classes, 3, stride=stride)


@pytest.mark.parametrize(
    ("stride", "params", "macs"),  # an independent build of the released definitions
    [
        (32, 136_152_917, 181_365_854_976),
        (16, 134_815_994, 181_448_086_272),
        (8, 134_489_759, 181_529_034_048),
    ],
)
def test_cost_is_that_of_the_released_nets(stride, params, macs):
    with torch.device("meta"):
        cost = count(head(stride), (3, 500, 500))
    assert (cost.params, cost.macs) == (params, macs)


def test_receptive_field_is_the_papers():
    """Table 1: 404 pixels, stride 32."""
    with torch.device("meta"):
        net = head(32)
    (score,) = (layer for layer in count(net, (3, 500, 500)).layers if layer.name == "score")
    assert score.receptive_field == (404, 404)
    assert net.reductions[-1] == 32


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_logits_have_the_images_size(stride):
    with torch.device("meta"):
        net = head(stride, num_classes=2).eval()
        sizes = [(500, 500), (375, 500), (224, 224), (33, 47), (1, 1)]
        sizes += [(side, side + 13) for side in range(64, 97)]  # every remainder of 32
        for size in sizes:
            assert net(torch.empty(1, 3, *size)).shape == (1, 2, *size)


class _Maps(nn.Module):
    """A backbone that has no tensors: the images' pool3, pool4 and fc7 are drawn."""

    feature_info = SimpleNamespace(channels=lambda: [256, 512, 4096], reduction=lambda: [8, 16, 32])

    def forward(self, images):
        maps = []
        for channels, pools, taken in ((256, 3, 0), (512, 4, 0), (4096, 5, 6)):
            sides = [side + 198 for side in images.shape[-2:]]
            for _ in range(pools):
                sides = [math.ceil(side / 2) for side in sides]
            draw = torch.Generator().manual_seed(pools)
            maps.append(torch.randn(1, channels, *(side - taken for side in sides), generator=draw))
        return maps


def on_drawn_maps(stride):
    torch.manual_seed(0)
    return FCNVGG(lambda **_: _Maps(), 2, 3, stride=stride)


def by_hand(net, images, stride):
    """Where the pixels lie decides what is cropped: Caffe's `coord_map`, in fractions."""
    place = Fraction(100 - 1)  # of the image's first pixel, in cells of the map: conv1_1
    places = []
    for _ in range(5):
        place = place / 2 - Fraction(1, 4)  # a pool of 2
        places.append(place)
    pool3, pool4, fc7 = net.backbone(images)
    x, place = net.score(fc7), places[4] - 3  # fc6
    skips = [(pool4, places[3]), (pool3, places[2])][: {32: 0, 16: 1, 8: 2}[stride]]
    for up, score, (skip, there) in zip(net.ups, net.finer, skips, strict=True):
        x, place = F.conv_transpose2d(x, up.weight, stride=2), 2 * place + Fraction(3, 2)
        offset = there - place
        assert offset.denominator == 1
        rows, columns = (slice(int(offset), int(offset) + side) for side in x.shape[-2:])
        x = x + score(skip)[..., rows, columns]
    x = F.conv_transpose2d(x, net.to_image.weight, stride=stride)
    place = stride * place + Fraction(2 * stride - 1, 2)
    assert place.denominator == 1
    rows, columns = (slice(int(place), int(place) + side) for side in images.shape[-2:])
    return x[..., rows, columns]


@pytest.mark.parametrize("stride", [8, 16, 32])
@pytest.mark.parametrize("size", [(33, 47), (64, 50)])
def test_crops_put_each_score_on_its_pixels(stride, size):
    net = on_drawn_maps(stride)
    images = torch.empty(1, 3, *size)
    with torch.no_grad():
        for parameter in net.parameters():
            nn.init.normal_(parameter, std=0.1)
        torch.testing.assert_close(net(images), by_hand(net, images, stride))


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_begins_with_no_opinion_and_interpolates(stride):
    net = on_drawn_maps(stride)
    images = torch.empty(1, 3, 150, 160)
    assert not net(images).any()
    # Constant scores of fc7 stay what they are; at the border the last window is not full.
    nn.init.constant_(net.score.bias, 7.0)
    inside = net(images)[..., 32:-32, 32:-32]
    torch.testing.assert_close(inside, torch.full_like(inside, 7.0))


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_only_the_last_step_does_not_learn(stride):
    net = on_drawn_maps(stride)
    net(torch.empty(1, 3, 33, 33))[:, 0].mean().backward()
    assert {name for name, p in net.named_parameters() if p.grad is None} == {"to_image.weight"}
    scores = [net.score, *net.finer]
    assert all(score.weight.grad.any() for score in scores)


@pytest.mark.parametrize("name", ["vgg16", "resnet18", "lenet5_modern"])
def test_another_backbone_is_one_line(name):
    told = r"head=fcn_vgg: needs pool3, pool4 and fc7 of model=fcn_vgg16; .*head=fcn takes any net$"
    with torch.device("meta"), pytest.raises(UserError, match=told):
        head(32, name=name)


def test_a_wrong_stride_is_one_line():
    with pytest.raises(UserError, match=r"head\.stride=4: must be 8, 16 or 32"):
        on_drawn_maps(4)

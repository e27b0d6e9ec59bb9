from functools import partial
from types import SimpleNamespace

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from cnnlab.backbones import create
from cnnlab.complexity.count import count
from cnnlab.errors import UserError
from cnnlab.heads.fcn import FCN, zero_score

NET = partial(create, weights=None, freeze=0, seed=0)
DILATED = partial(NET, name="resnet50", knobs={"output_stride": 8})
PLAIN = {"width": None, "dropout": 0.0}


def head(name, fuse, num_classes=3, **more):
    return FCN(partial(NET, name=name, knobs={}), num_classes, 3, fuse=fuse, **PLAIN | more)


def with_statistics(net):
    """A fresh net's statistics, 0 and 1, would hide that they are swapped or left out."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.0)
    return net.eval()


def test_equals_torchvisions_fcn_resnet50():
    torch.manual_seed(0)
    theirs = torchvision.models.segmentation.fcn_resnet50(
        weights=None, weights_backbone=None, num_classes=21, aux_loss=False
    )
    theirs = with_statistics(theirs)
    ours = FCN(DILATED, 21, 3, fuse=0, width=512, dropout=0.1).eval()
    values = theirs.state_dict().values()
    ours.load_state_dict(dict(zip(ours.state_dict(), values, strict=True)))
    images = torch.rand(1, 3, 49, 66)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images)["out"], rtol=1e-4, atol=1e-5)


def test_cost_is_torchvisions():
    """The published row has the auxiliary head, too: 2,365,205 parameters."""
    with torch.device("meta"):
        ours = count(FCN(DILATED, 21, 3, fuse=0, width=512, dropout=0.1), (3, 520, 520))
    auxiliary = 1024 * 256 * 9 + 2 * 256 + 256 * 21 + 21
    assert ours.params == 35_322_218 - auxiliary
    assert ours.macs == 152_716_512_000 - 65 * 65 * (1024 * 256 * 9 + 256 * 21)


def of_strides(*strides):
    """A head that fuses all maps of a net that has no tensors, of 4 channels each."""
    net = nn.Module()
    net.feature_info = SimpleNamespace(
        channels=lambda: [4] * len(strides), reduction=lambda: list(strides)
    )
    return FCN(lambda **_: net, 3, 3, fuse=len(strides) - 1, **PLAIN)


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
def test_enlarging_begins_as_bilinear_interpolation(factor):
    """The finer map's score is zero at first: what is decoded is the enlarged one."""
    torch.manual_seed(0)
    net = of_strides(5, 5 * factor)
    coarse = torch.rand(2, 4, 6, 7)
    larger = net.decode([torch.rand(2, 4, 6 * factor, 7 * factor), coarse])
    expected = F.interpolate(net.coarsest(coarse), scale_factor=factor, mode="bilinear")
    inside = (..., slice(factor, -factor), slice(factor, -factor))
    torch.testing.assert_close(larger[inside], expected[inside])
    (up,) = net.ups
    assert up(net.coarsest(coarse)).shape == expected.shape  # no resizing was needed
    assert up.bias is None
    assert up.weight.requires_grad


def test_strides_that_are_no_multiples_end_at_the_finer_map():
    net = of_strides(4, 10)
    decoded = net.decode([torch.rand(1, 4, 25, 13), torch.rand(1, 4, 10, 5)])
    assert decoded.shape == (1, 3, 25, 13)


def test_fused_scores_are_those_of_the_finer_maps():
    """By hand: FCN-8s of two classes from the maps, with every score's weights known."""
    torch.manual_seed(0)
    net = head("resnet18", 2, num_classes=2).eval()
    assert net.reductions[-3:] == [8, 16, 32]
    for score in net.finer:
        nn.init.normal_(score.weight)
        nn.init.normal_(score.bias)
    images = torch.rand(1, 3, 128, 64)
    with torch.no_grad():
        *_, c3, c4, c5 = net.maps(images)
        scores = net.coarsest(c5)
        for finer, score in ((c4, net.finer[0]), (c3, net.finer[1])):
            weight, bias = score.weight[:, :, 0, 0], score.bias[:, None, None]
            # Of factor 2 the bilinear filter of each class is 1/4, 3/4, 3/4, 1/4 across and down.
            tent = torch.tensor([0.25, 0.75, 0.75, 0.25])
            up = F.conv_transpose2d(
                scores.transpose(0, 1), tent.outer(tent)[None, None], stride=2, padding=1
            ).transpose(0, 1)
            scores = up + torch.einsum("kc,bchw->bkhw", weight, finer) + bias
        expected = F.interpolate(scores, (128, 64), mode="bilinear")
        torch.testing.assert_close(net(images), expected)


def test_finer_scores_begin_at_zero_and_learn():
    images = torch.rand(2, 3, 64, 64)
    net = head("resnet18", 2).train()
    logits = net(images)
    logits.square().mean().backward()
    assert all(not score.weight.any() and score.weight.grad.any() for score in net.finer)
    assert all(up.weight.grad.any() for up in net.ups)
    assert net.coarsest[-1].weight.any()


@pytest.mark.parametrize("name", ["resnet18", "alexnet", "lenet5_modern", "googlenet"])
@pytest.mark.parametrize("size", [(224, 224), (225, 131), (37, 64)])
def test_any_backbone_and_size(name, size):
    with torch.device("meta"):
        net = head(name, 1).eval()
        assert net(torch.empty(2, 3, *size)).shape == (2, 3, *size)


def test_a_dilated_net_fuses_the_next_finer_maps_and_enlarges_nothing():
    with torch.device("meta"):
        net = FCN(DILATED, 3, 3, fuse=2, **PLAIN).eval()
        assert net.reductions[-3:] == [8, 8, 8]
        assert [score.in_channels for score in net.finer] == [1024, 512]
        assert not list(net.ups.parameters())
        images = torch.empty(2, 3, 65, 70)
        assert net.decode(net.maps(images)).shape == (2, 3, 9, 9)
        assert net(images).shape == (2, 3, 65, 70)


def test_a_net_with_too_few_maps_is_one_line():
    told = r"head\.fuse=2: must be 0 to 1: the net's maps are 2, .*"
    with torch.device("meta"), pytest.raises(UserError, match=told):
        head("lenet5_modern", 2)
    with torch.device("meta"), pytest.raises(UserError, match=r"head\.fuse=-1: must be 0 to 4"):
        head("resnet18", -1)


def test_a_zero_score_is_zero():
    assert not zero_score(4, 3)(torch.rand(1, 4, 2, 2)).any()

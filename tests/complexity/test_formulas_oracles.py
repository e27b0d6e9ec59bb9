"""The closed forms against torch, torchvision, timm and the counter."""

import math
import re

import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from timm.models.regnet import model_cfgs
from torch import nn

from cnnlab.complexity.count import count
from cnnlab.complexity.formulas import costs, losses, operators, scaling, sizes


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(3, 1, 1), (5, 2, 1), (3, 2, 3)])
def test_convolution_is_the_counters(groups, kernel, stride, dilation):
    conv = nn.Conv2d(8, 12, kernel, stride, 2, dilation, groups)
    cost = count(conv, (8, 21, 30))
    high, wide = (sizes.conv_output(n, kernel, stride, 2, dilation) for n in (21, 30))
    assert cost.layers[-1].output == (12, high, wide)
    assert cost.params == costs.conv_params(8, 12, kernel, groups)
    assert cost.macs == costs.conv_macs(8, 12, kernel, high, wide, groups)
    assert tuple(conv.weight.shape) == costs.conv_weight(8, 12, kernel, groups)


@pytest.mark.parametrize("size", range(7, 40))
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(3, 2, 0), (3, 2, 1), (2, 2, 0), (2, 3, 1)]
)
def test_pool_size_is_torchs(size, kernel, stride, padding):
    x = torch.empty(1, 1, size, 9, device="meta")
    for ceil in (False, True):
        y = F.max_pool2d(x, kernel, stride, padding, ceil_mode=ceil)
        assert y.shape[2] == sizes.pool_output(size, kernel, stride, padding, ceil)


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (4, 2, 1), (64, 32, 16)])
def test_transposed_size_is_torchs(kernel, stride, padding):
    net = nn.ConvTranspose2d(1, 1, kernel, stride, padding)
    assert count(net, (1, 16, 28)).layers[-1].output[1:] == tuple(
        sizes.transposed_output(n, kernel, stride, padding) for n in (16, 28)
    )


def test_separable_and_squeeze_are_the_counters():
    net = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.Conv2d(8, 12, 1))
    cost = count(net, (8, 10, 14))
    assert cost.macs == costs.separable_macs(8, 12, 3, 10, 14)
    ratio = cost.macs / costs.conv_macs(8, 12, 3, 10, 14)
    assert ratio == pytest.approx(costs.separable_ratio(12, 3))
    module = timm.layers.SEModule(64, rd_ratio=1 / 16, rd_divisor=1)
    assert sum(p.numel() for p in module.parameters()) == costs.se_params(64, 16, bias=True)


def vgg16():
    with torch.device("meta"):
        return torchvision.models.vgg16()


def test_receptive_field_is_the_counters():
    net = nn.Sequential(vgg16().features, nn.Conv2d(512, 4096, 7, device="meta"))
    layers = [
        (m.kernel_size, m.stride) if isinstance(m, nn.MaxPool2d) else (m.kernel_size[0], 1)
        for m in net.modules()
        if isinstance(m, (nn.Conv2d, nn.MaxPool2d))
    ]
    field = sizes.receptive_field(layers)
    assert count(net, (3, 512, 512)).layers[-1].receptive_field == (field, field)


def test_vggs_cost_is_the_counters():
    net, side, shapes, convs = vgg16(), 224, [], []
    for module in net.features:
        if isinstance(module, nn.MaxPool2d):
            side = sizes.pool_output(side, 2, 2)
        if isinstance(module, nn.Conv2d):
            side = sizes.conv_output(side, 3, padding=1)
            shapes.append((module.out_channels, side, side))
            convs.append((module.out_channels, 3, side))
    cost = count(net, (3, 224, 224))
    assert cost.activations == costs.values([*shapes, (4096,), (4096,), (1000,)])
    linear = sum(costs.linear_params(*n) for n in ((25088, 4096), (4096, 4096), (4096, 1000)))
    assert cost.macs == costs.chain_macs(3, convs) + linear


def test_googlenets_stem_is_the_counters():
    with torch.device("meta"):
        net = torchvision.models.googlenet(init_weights=False, aux_logits=False)
    rows = {row.name: row.macs for row in count(net, (3, 224, 224)).layers}
    stem = [(64, 7, 112), (64, 1, 56), (192, 3, 56)]
    assert sum(rows[f"conv{i}.conv"] for i in (1, 2, 3)) == costs.chain_macs(3, stem)


def test_resnext_block_is_the_counters():
    for groups_, width in ((1, 64), (2, 40), (32, 4)):
        with torch.device("meta"):
            block = timm.models.resnet.Bottleneck(256, 64, cardinality=groups_, base_width=width)
        cost = count(block, (256, 9, 7))
        assert cost.macs == 63 * scaling.resnext_macs_per_pixel(64, groups_, width)
        assert block.conv2.out_channels == scaling.resnext_channels(64, width, groups_)


@pytest.mark.parametrize("name", [n for n in model_cfgs if re.fullmatch(r"regnet[xy]_\d+", n)])
def test_regnets_are_timms(name):
    cfg = model_cfgs[name]
    widths, depths = scaling.regnet_stages(cfg.depth, cfg.w0, cfg.wa, cfg.wm, cfg.group_size)
    with torch.device("meta"):
        net = timm.create_model(name)
    assert [info["num_chs"] for info in net.feature_info[1:]] == widths
    assert [len(list(stage.children())) for stage in (net.s1, net.s2, net.s3, net.s4)] == depths


def test_nfnets_betas_are_timms():
    with torch.device("meta"):
        net = timm.create_model("dm_nfnet_f0")
    betas = [[1 / block.beta for block in stage] for stage in net.stages]
    ours = scaling.nf_betas([len(stage) for stage in net.stages], 0.2)
    for theirs, stage in zip(betas, ours, strict=True):
        assert theirs == pytest.approx(stage)


def test_densenets_channels_are_timms():
    with torch.device("meta"):
        net = timm.create_model("densenet121", features_only=True)
    stages = scaling.densenet_channels(64, 32, (6, 12, 24, 16))
    assert net.feature_info.channels() == [64, *(wide for wide, _ in stages)]


def test_standardised_weights_are_timms():
    torch.manual_seed(0)
    conv = timm.layers.ScaledStdConv2d(3, 2, 3, gamma=scaling.relu_gain(), eps=1e-12)
    filters = conv.weight.flatten(1).tolist()
    weight = torch.tensor([scaling.standardise(f, scaling.relu_gain()) for f in filters])
    x = torch.rand(1, 3, 5, 5)
    torch.testing.assert_close(
        conv(x),
        F.conv2d(x, weight.view_as(conv.weight), conv.bias, padding=1),
        rtol=1e-4,
        atol=1e-4,
    )


def test_operators_are_torchs():
    torch.manual_seed(0)
    image, kernel = torch.randn(5, 6), torch.randn(3, 3)
    ours = torch.tensor(operators.cross_correlate(image.tolist(), kernel.tolist(), padding=1))
    torch.testing.assert_close(
        ours, F.conv2d(image[None, None], kernel[None, None], padding=1)[0, 0]
    )
    offset = torch.randn(5, 6, 9, 2)
    ours = torch.tensor(
        operators.deformable(image.tolist(), kernel.tolist(), offset.tolist(), padding=1)
    )
    theirs = torchvision.ops.deform_conv2d(
        image[None, None], offset.permute(2, 3, 0, 1).reshape(1, 18, 5, 6), kernel[None, None],
        padding=1,
    )  # fmt: skip
    torch.testing.assert_close(ours, theirs[0, 0])
    pooled = torch.tensor(operators.max_pool(image.tolist(), 3, 2))
    torch.testing.assert_close(pooled, F.max_pool2d(image[None], 3, 2)[0])
    x = torch.randn(8)
    for f, theirs in (
        (operators.gelu, F.gelu(x)),
        (operators.gelu_tanh, F.gelu(x, approximate="tanh")),
        (operators.silu, F.silu(x)),
    ):
        torch.testing.assert_close(torch.tensor([f(v) for v in x.tolist()]), theirs)
    norm = F.batch_norm(x[:, None], None, None, torch.tensor([2.0]), torch.tensor([1.0]), True)
    ours = torch.tensor(operators.batch_norm(x.tolist(), 2.0, 1.0, 1e-5))
    torch.testing.assert_close(ours, norm[:, 0])
    lrn = nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)(x.view(1, 8, 1))
    ours = torch.tensor([operators.local_response_norm(x.tolist(), i) for i in range(8)])
    torch.testing.assert_close(ours, lrn.flatten())
    shuffled = nn.ChannelShuffle(4)(torch.arange(12).view(1, 12, 1, 1)).flatten()
    assert shuffled.tolist() == operators.channel_shuffle(range(12), 4)


def test_gradients_are_autograds():
    logits = torch.tensor([0.3, -1.0, 0.7], requires_grad=True)
    (logits.log_softmax(0)[2] * 1.7).backward()
    ours = torch.tensor(scaling.controller_gradient(logits.tolist(), 2, 1.7))
    torch.testing.assert_close(ours, logits.grad)
    x = torch.tensor(0.4, requires_grad=True)
    (x + torch.tanh(0.5 * x)).backward()
    slope = 1 - math.tanh(0.2) ** 2
    assert operators.residual_gradient(0.5, slope) == pytest.approx(x.grad.item())


def test_losses_are_torchvisions():
    p, target = torch.tensor([0.9, 0.5, 0.1]), torch.tensor([1.0, 0.0, 1.0])
    theirs = torchvision.ops.sigmoid_focal_loss(p.logit(), target, 0.25, 2)
    pairs = zip(p.tolist(), target.tolist(), strict=True)
    ours = torch.tensor([losses.focal_loss(a, int(b)) for a, b in pairs])
    torch.testing.assert_close(ours, theirs)
    assert losses.focal_loss(0.3, 1, alpha=0.5, gamma=0) == pytest.approx(-math.log(0.3) / 2)
    assert losses.dice_loss([0, 0], [0, 0]) == 1
    assert losses.dice_loss([1, 0], [1, 0]) == pytest.approx(0, abs=1e-6)


def test_depths_that_no_net_has():
    assert scaling.wrn_widths(10) == [16, 160, 320, 640]
    with pytest.raises(ValueError, match="blocks of 6"):
        scaling.wrn_blocks(30)
    with pytest.raises(ValueError, match="blocks of 9"):
        scaling.cifar_resnet_blocks(110 + 6, bottleneck=True)


def test_survival():
    assert [scaling.survival(block, 4, 0.2) for block in range(5)] == pytest.approx(
        [1, 0.8, 0.6, 0.4, 0.2]
    )

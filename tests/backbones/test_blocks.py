"""What several families share: squeeze-and-excitation."""

import pytest
import timm
import torch
from timm.layers import SEModule
from torch import nn

import cnnlab.backbones  # noqa: F401  (registers ours)
from cnnlab.backbones.blocks import squeeze_excitation
from cnnlab.errors import UserError

NAMES = [
    "resnet20_cifar", "plain20_cifar", "preresnet110_cifar", "wrn16_8", "resnext29_cifar",
    "resnet18_a", "resnet50_v1", "shufflenet_v1",
]  # fmt: skip


def meta(name, **knobs):
    with torch.device("meta"):
        return timm.create_model(name, **knobs)


def parameters(net):
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_reduction_costs_what_its_paper_says(name):
    """Hu et al. 2018, eq. 5: 2 C^2 / r of weights a block, and here the two layers' biases."""
    plain = parameters(meta(name))
    for reduction in (4, 8, 16, 32):  # Table 10
        net = meta(name, se=True, se_reduction=reduction)
        gates = [module for module in net.modules() if isinstance(module, SEModule)]
        widths = [gate.fc2.out_channels for gate in gates]
        hidden = [max(1, width // reduction) for width in widths]
        cost = sum(2 * c * h + c + h for c, h in zip(widths, hidden, strict=True))
        assert parameters(net) - plain == cost > 0
    assert parameters(meta(name, se=True)) == parameters(meta(name, se=True, se_reduction=16))
    assert parameters(meta(name, se=False, se_reduction=4)) == plain


@pytest.mark.parametrize("reduction", [4, 32])
def test_squeeze_excitation_is_the_papers(reduction):
    """Eqs. 2 to 4 by hand."""
    torch.manual_seed(0)
    gate = squeeze_excitation(64, reduction)
    x = torch.randn(2, 64, 5, 7)
    z = x.mean((2, 3))
    down, up = (layer.weight.flatten(1) for layer in (gate.fc1, gate.fc2))
    assert down.shape == (64 // reduction, 64)
    s = (z @ down.T + gate.fc1.bias).relu() @ up.T + gate.fc2.bias
    torch.testing.assert_close(gate(x), x * s.sigmoid()[..., None, None])
    assert isinstance(squeeze_excitation(64, None), nn.Identity)


@pytest.mark.parametrize("name", NAMES)
def test_wrong_reduction_is_one_line(name):
    with pytest.raises(UserError, match=r"model\.se_reduction=0: must be at least 1"):
        meta(name, se=True, se_reduction=0)

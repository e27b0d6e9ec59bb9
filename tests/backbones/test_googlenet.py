import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.googlenet import Inception as TheirInception
from torchvision.models.googlenet import InceptionAux

import cnnlab.backbones.googlenet  # noqa: F401  (registers it)
from cnnlab.complexity.count import count
from cnnlab.errors import UserError
from cnnlab.reference import rows


def build(**knobs):
    with torch.device("meta"):
        return timm.create_model("googlenet", **knobs)


class TheirConv(nn.Sequential):
    """torchvision's place for convolution and BatchNorm, with the paper's bias instead."""

    def __init__(self, in_chans, out_chans, **geometry):
        super().__init__(nn.Conv2d(in_chans, out_chans, **geometry), nn.ReLU())


class Their5x5(TheirInception):
    """torchvision's known bug 906 mended: its third branch has 3x3."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, conv_block=TheirConv, **kwargs)
        before = self.branch3[1][0]
        self.branch3[1] = TheirConv(
            before.in_channels, before.out_channels, kernel_size=5, padding=2
        )


def test_equals_torchvisions_with_the_papers_layers():
    torch.manual_seed(0)
    ours = timm.create_model("googlenet", num_classes=7)
    blocks = [TheirConv, Their5x5, InceptionAux]
    theirs = torchvision.models.GoogLeNet(7, aux_logits=False, init_weights=False, blocks=blocks)
    theirs.maxpool4 = nn.MaxPool2d(3, 2, ceil_mode=True)  # Table 1; torchvision has 2x2
    for index in (1, 6):  # torchvision has no response normalisation
        assert isinstance(ours.stage2[index], nn.LocalResponseNorm)
        ours.stage2[index] = nn.Identity()
    values = ours.state_dict().values()
    theirs.load_state_dict(dict(zip(theirs.state_dict(), values, strict=True)))
    images = torch.randn(2, 3, 97, 128)
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(images), theirs.eval()(images))


def test_stem_normalises_over_five_channels():
    """The formula of Caffe's LRN layer (across channels) with the constants of its GoogLeNet."""
    norm = build().stage2[1]
    x = 50 * torch.randn(2, 9, 3, 3)
    near = F.pad(x.square(), (0, 0, 0, 0, 2, 2)).unfold(1, 5, 1).sum(-1)
    torch.testing.assert_close(norm(x), x / (1 + 1e-4 / 5 * near) ** 0.75)


def test_cost_with_and_without_auxiliary_heads():
    plain, both = build(), build(aux=True)
    cost = count(plain, (3, 224, 224))
    assert (cost.params, cost.macs) == (6_998_552, 1_582_671_872)  # Caffe's net
    assert count(both, (3, 224, 224)).params == 13_378_280
    assert count(both, (3, 224, 224)).macs == cost.macs  # they vanish at test
    with FlopCounterMode(display=False) as flops:
        both(torch.empty(1, 3, 224, 224, device="meta"))
    assert flops.get_total_flops() // 2 == 1_591_044_096


def test_torchvisions_own_net_has_its_published_cost():
    (row,) = [r for r in rows() if r.system == "GoogLeNet" and r.variant.startswith("torchvision")]
    with torch.device("meta"):
        theirs = torchvision.models.googlenet(aux_logits=False, init_weights=False)
    cost = count(theirs, row.input_size)
    assert cost.params == row.measured_params == pytest.approx(1e6 * row.params_m)
    assert cost.macs == row.measured_macs == pytest.approx(1e9 * row.gmacs, rel=1e-3)


def test_stages_have_the_sizes_of_table_1():
    maps = build(features_only=True)(torch.empty(1, 3, 224, 224, device="meta"))
    sizes = [(64, 112), (192, 56), (480, 28), (832, 14), (1024, 7)]
    assert [(m.shape[1], m.shape[2]) for m in maps] == sizes


def test_auxiliary_heads_train_and_vanish():
    torch.manual_seed(0)
    net = timm.create_model("googlenet", num_classes=3, aux=True, dropout=0.0)
    taps = {}
    for name in ("stage4.1", "stage4.4"):  # inception 4a, 4d
        net.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, output, name=name: taps.setdefault(name, output)
        )
    for head in net.aux:
        head.dropout.p = 0.0
    images = torch.rand(1, 3, 224, 224)
    logits, auxiliary = net(images)
    assert len(auxiliary) == 2
    for maps, head, ours in zip(taps.values(), net.aux, auxiliary, strict=True):
        state = head.state_dict()
        x = maps.unfold(2, 5, 3).unfold(3, 5, 3).mean((-1, -2))
        x = torch.einsum("bchw,kc->bkhw", x, state["conv.1.weight"].flatten(1))
        x = (x + state["conv.1.bias"].view(-1, 1, 1)).relu().flatten(1)
        x = (x @ state["fc1.0.weight"].T + state["fc1.0.bias"]).relu()
        torch.testing.assert_close(ours, x @ state["fc.weight"].T + state["fc.bias"])
    loss = logits.square().sum() + net.aux_weight * sum(a.square().sum() for a in auxiliary)
    assert net.aux_weight == 0.3
    loss.backward()
    assert all(p.grad is not None and p.grad.any() for p in net.parameters())
    with torch.no_grad():
        torch.testing.assert_close(net.eval()(images), logits)


def test_auxiliary_heads_follow_the_classes():
    net = build(aux=True)
    with torch.device("meta"):
        net.reset_classifier(7)
    logits, auxiliary = net(torch.empty(2, 3, 224, 224, device="meta"))
    assert [tuple(x.shape) for x in (logits, *auxiliary)] == [(2, 7)] * 3
    assert build(aux=True, num_classes=0).eval()(
        torch.empty(2, 3, 64, 65, device="meta")
    ).shape == (2, 1024)
    names = [name for name, _ in net.named_children()]
    assert names.index("aux") > names.index("head") > names.index("stage5")
    assert not any(
        key.startswith("aux") for key in build(aux=True, features_only=True).state_dict()
    )


def test_auxiliary_heads_name_their_sizes():
    net = build(aux=True)
    for size in (223, 270):
        assert len(net(torch.empty(1, 3, size, size, device="meta"))[1]) == 2
    for size in (32, 222, 271):
        with pytest.raises(UserError, match=r"model\.aux=true: .* 223x223 to 270x270 pixels"):
            net(torch.empty(1, 3, size, size, device="meta"))
        assert net.eval()(torch.empty(1, 3, size, size, device="meta")).shape == (1, 1000)
        net.train()


def test_initial_weights_are_caffes():
    torch.manual_seed(0)
    net = timm.create_model("googlenet", aux=True)
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            fan_in = module.weight[0].numel()
            assert module.weight.std().item() == pytest.approx(fan_in**-0.5, rel=0.06)
            assert module.bias.eq(0.0 if name.endswith(".fc") else 0.2).all()

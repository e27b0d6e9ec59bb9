import pytest
import timm
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from cnnlab.backbones.lenet import EuclideanRBF
from cnnlab.errors import UserError


def test_cost_layer_by_layer():
    net = timm.create_model("lenet5_modern")
    sizes = {key: p.numel() for key, p in net.named_parameters()}
    layers: dict[str, int] = {}
    for key, size in sizes.items():
        layer = key.rpartition(".")[0]
        layers[layer] = layers.get(layer, 0) + size
    # C1, C3 with all maps of S2, C5, F6, output
    assert list(layers.values()) == [156, 2416, 48_120, 10_164, 850]
    assert sum(sizes.values()) == 61_706
    with FlopCounterMode(display=False) as flops:
        net(torch.rand(1, 1, 32, 32))
    by_hand = 28 * 28 * 150 + 10 * 10 * 2400 + 48_000 + 10_080 + 840
    assert flops.get_total_flops() // 2 == by_hand == 416_520


def test_forward_is_the_papers():
    net = timm.create_model("lenet5_modern", num_classes=7)
    c1, c1_bias, c3, c3_bias, c5, c5_bias, f6, f6_bias, out, out_bias = net.parameters()
    images = torch.randn(3, 1, 32, 32)
    s2 = F.avg_pool2d(F.conv2d(images, c1, c1_bias).tanh(), 2)
    s4 = F.avg_pool2d(F.conv2d(s2, c3, c3_bias).tanh(), 2)
    flat = s4.flatten(1) @ c5.flatten(1).T + c5_bias
    logits = (flat.tanh() @ f6.T + f6_bias).tanh() @ out.T + out_bias
    torch.testing.assert_close(net(images), logits)


@pytest.mark.parametrize("size", [4, 12, 28, 31, 36, 64])
@pytest.mark.parametrize("name", ["lenet5", "lenet5_modern"])
def test_wrong_size_is_one_line(name, size):
    net = timm.create_model(name)
    assert net(torch.rand(1, 1, 35, 32)).shape == (1, 10)
    told = rf"model\.name={name} classifies images of 32x32 to 35x35 pixels .*{size}x{size}$"
    with pytest.raises(UserError, match=told):
        net(torch.rand(1, 1, size, size))


# Table I: a column marks the maps of S2 that a map of C3 sees.
TABLE_1 = """
X...XXX..XXXX.XX
XX...XXX..XXXX.X
XXX...XXX..X.XXX
.XXX..XXXX..X.XX
..XXX..XXXX.XX.X
...XXX..XXXX.XXX
"""


def test_1998_cost_layer_by_layer():
    net = timm.create_model("lenet5")
    stage1, stage2, head = net.children()
    layers = [stage1[0], stage1[2], stage2[0], stage2[2], head.c5, head.f6, head.fc]
    params = [sum(p.numel() for p in layer.parameters()) for layer in layers]
    assert params == [156, 12, 1516, 32, 48_120, 10_164, 0]
    assert sum(p.numel() for p in net.parameters()) == 60_000
    # The paper's connections: a bias is one, a subsampling unit has four inputs and a bias.
    c1, _, c3, _, c5, f6, _ = params
    s2, s4 = 14 * 14 * 6 * 5, 5 * 5 * 16 * 5
    assert 28 * 28 * c1 + s2 + 10 * 10 * c3 + s4 + c5 + f6 + 84 * 10 == 340_908
    with FlopCounterMode(display=False) as flops:
        net(torch.rand(1, 1, 32, 32))
    by_hand = 28 * 28 * 150 + 10 * 10 * 1500 + 48_000 + 10_080
    assert flops.get_total_flops() // 2 == by_hand == 325_680


def test_c3_sees_what_table_1_says():
    c3 = timm.create_model("lenet5").stage2[0]
    weights = [w for conv in c3.convs for w in conv.weight]
    bias = torch.cat([conv.bias for conv in c3.convs])[:, None, None]
    silent = torch.zeros(1, 6, 9, 9)
    for row, marks in enumerate(TABLE_1.split()):
        one = silent.clone()
        one[0, row] = torch.rand(9, 9)
        seen = (c3(one) - bias).abs().amax((0, 2, 3)) > 1e-4
        assert seen.tolist() == [mark == "X" for mark in marks]
    maps = torch.randn(2, 1, 9, 9)  # the same six times: filters of one map of C3 add up
    summed = F.conv2d(maps, torch.stack([w.sum(0, keepdim=True) for w in weights]))
    torch.testing.assert_close(c3(maps.expand(2, 6, 9, 9)), summed + bias)


def test_1998_forward_is_the_papers():
    torch.manual_seed(0)
    net = timm.create_model("lenet5")
    state = net.state_dict()

    def squash(a):
        return 1.7159 * (2 * a / 3).tanh()

    def subsample(x, name):
        sums = x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]
        return sums * state[f"{name}.weight"].view(-1, 1, 1) + state[f"{name}.bias"].view(-1, 1, 1)

    images = torch.randn(3, 1, 32, 32)
    c1 = squash(F.conv2d(images, state["stage1.0.weight"], state["stage1.0.bias"]))
    c3 = squash(net.stage2[0](squash(subsample(c1, "stage1.2"))))
    s4 = squash(subsample(c3, "stage2.2"))
    c5 = squash(s4.flatten(1) @ state["head.c5.weight"].flatten(1).T + state["head.c5.bias"])
    f6 = squash(c5 @ state["head.f6.weight"].T + state["head.f6.bias"])
    distances = torch.cdist(f6, state["head.fc.codes"]).square()
    torch.testing.assert_close(net(images), -distances)
    assert squash(torch.tensor(1.0)).item() == pytest.approx(1, abs=1e-4)  # appendix A


def test_1998_initial_weights():
    torch.manual_seed(0)
    net = timm.create_model("lenet5")
    sizes = {"stage1.0": 25, "stage1.2": 4, "stage2.2": 4, "head.c5": 400, "head.f6": 120}
    sizes |= {f"stage2.0.convs.{i}": 25 * n for i, n in enumerate((3, 4, 6))}
    for key, parameter in net.named_parameters():
        bound = 2.4 / sizes[key.rpartition(".")[0]]
        assert parameter.abs().max() <= bound
        if parameter.numel() > 50:
            assert parameter.std().item() == pytest.approx(bound / 3**0.5, rel=0.15)


def test_codes_are_fixed_and_far_apart():
    net = timm.create_model("lenet5")
    assert "head.fc.codes" not in dict(net.named_parameters())
    codes = net.head.fc.codes
    assert codes.shape == (10, 7 * 12)
    assert codes.abs().eq(1).all()
    assert (torch.cdist(codes, codes, p=0) + 84 * torch.eye(10)).min() >= 12
    logits = EuclideanRBF(84, 10)(codes)
    assert logits.diagonal().eq(0).all()
    assert logits.argmax(1).tolist() == list(range(10))
    zero = codes[0].view(12, 7)
    assert torch.equal(zero, zero.flip(0))
    assert torch.equal(zero, zero.flip(1))
    net.reset_classifier(47)
    more = net.head.fc.codes
    assert more.shape == (47, 84)
    assert len(more.unique(dim=0)) == 47
    assert torch.equal(more[:26], EuclideanRBF(84, 26).codes)


def test_cross_entropy_is_the_papers_criterion():
    """Eq. 9 without the constant for rubbish: penalty of the class + log sum of e^-penalty."""
    f6 = torch.randn(4, 84, dtype=torch.float64)
    logits = EuclideanRBF(84, 10).double()(f6)
    penalties = -logits
    classes = torch.tensor([3, 1, 4, 1])
    ours = F.cross_entropy(logits, classes, reduction="none")
    paper = penalties[range(4), classes] + (-penalties).exp().sum(1).log()
    torch.testing.assert_close(ours, paper)


def test_classifier_of_other_classes():
    net = timm.create_model("lenet5", num_classes=7)
    assert (net.get_classifier().in_features, net.get_classifier().out_features) == (84, 7)
    net.reset_classifier(3)
    assert net(torch.rand(2, 1, 32, 32)).shape == (2, 3)
    net.reset_classifier(0)
    assert net(torch.rand(2, 1, 32, 32)).shape == (2, 84)

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

from cnnlab.backbones.shufflenet_v1 import ShuffleUnit
from cnnlab.complexity.count import count
from cnnlab.errors import UserError

# Zhang et al. 2018, Table 1 (complexity in MFLOPs = multiply-adds): groups -> width 1.
TABLE_1 = {1: 143, 2: 140, 3: 137, 4: 133, 8: 137}


def build(**knobs):
    with torch.device("meta"):
        return timm.create_model("shufflenet_v1", **knobs)


def cost(**knobs):
    found = count(build(**knobs), (3, 224, 224))
    return found.params, found.macs


def by_hand(groups, stage2, stem=24, units=(4, 8, 4)):
    """Parameters and MACs at 3x224x224, layer by layer from Table 1 and Fig. 2."""
    params = 27 * stem + 2 * stem
    macs = 27 * stem * 112 * 112
    before, out, size = stem, stage2, 28
    for stage, repeats in enumerate(units):
        for unit in range(repeats):
            made = out if unit else out - before
            mid = out // 4
            reduce = before * mid // (groups if stage or unit else 1)
            expand = mid * made // groups
            params += reduce + 9 * mid + expand + 2 * (mid + mid + made)
            pixels = size * size
            macs += reduce * pixels * (1 if unit else 4) + (9 * mid + expand) * pixels
            before = out
        out, size = 2 * out, size // 2
    return params + 1000 * (before + 1), macs + 1000 * before


@pytest.mark.parametrize(("groups", "stage2"), [(1, 144), (2, 200), (3, 240), (4, 272), (8, 384)])
def test_cost_is_the_papers(groups, stage2):
    params, macs = cost(groups=groups)
    assert (params, macs) == by_hand(groups, stage2)
    assert macs == pytest.approx(TABLE_1[groups] * 1e6, rel=0.011)


@pytest.mark.parametrize(
    ("knobs", "mflops"),
    [
        ({"width": 0.5}, 38),
        ({"width": 1.5, "stem_width": 24}, 292),
        ({"width": 2.0}, 524),
        ({"width": 2.0, "se": True}, 527),
        ({"width": 0.5, "groups": 4}, 38),
        ({"width": 0.5, "groups": 8}, 40),  # the authors' code
        ({"width": 0.25, "stem_width": 12}, 13),
    ],
)
def test_widths_cost_what_table_5_says(knobs, mflops):
    assert cost(**knobs)[1] == pytest.approx(mflops * 1e6, rel=0.025)


def test_knobs_change_the_cost():
    assert cost(width=0.5, shallow=True) == by_hand(3, 120, stem=12, units=(2, 4, 2))
    assert cost(groups=8, width=0.5) == by_hand(8, 192, stem=16)
    assert cost(width=0.7, stem_width=12) == by_hand(3, 168, stem=12)


def test_shuffle_interleaves_the_groups():
    unit = ShuffleUnit(24, 48, 1, groups=3, first_groups=3, shuffle=True, se_reduction=None)
    for form in (torch.contiguous_format, torch.channels_last):
        x = torch.arange(12.0).view(1, 12, 1, 1).repeat(2, 1, 3, 4).to(memory_format=form)
        y = unit.shuffle(x)
        assert y[0, :, 0, 0].tolist() == [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]
        assert y.is_contiguous(memory_format=form)


@pytest.mark.parametrize("shuffle", [True, False])
def test_without_shuffle_groups_do_not_talk(shuffle):
    torch.manual_seed(0)
    unit = ShuffleUnit(
        24, 24, 1, groups=2, first_groups=2, shuffle=shuffle, se_reduction=None
    ).eval()
    nn.init.constant_(unit.bn1.bias, 9)  # no ReLU is closed
    x = torch.randn(1, 24, 3, 3, requires_grad=True)
    (
        unit.expand(unit.depthwise(unit.shuffle(unit.bn1(unit.reduce(x)).relu())))[:, :12]
    ).sum().backward()
    assert x.grad[:, :12].any()
    assert bool(x.grad[:, 12:].any()) == shuffle


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("se", [False, True])
def test_unit_is_the_papers(stride, se):
    """Figure 2 (b) and (c), written out with functions only."""
    torch.manual_seed(0)
    out_chans = 64 * stride
    unit = ShuffleUnit(
        64,
        out_chans,
        stride,
        groups=4,
        first_groups=4,
        shuffle=True,
        se_reduction=16 if se else None,
    )
    x = torch.rand(2, 64, 7, 6)
    for _ in range(2):  # BatchNorm statistics that are not 0 and 1
        unit(x)
    unit.eval()
    state = unit.state_dict()

    def bn(y, name):
        return F.batch_norm(
            y,
            state[f"{name}.running_mean"],
            state[f"{name}.running_var"],
            state[f"{name}.weight"],
            state[f"{name}.bias"],
        )

    mid = out_chans // 4
    y = bn(F.conv2d(x, state["reduce.weight"], groups=4), "bn1").relu()
    y = y.view(2, 4, mid // 4, 7, 6).transpose(1, 2).reshape(2, mid, 7, 6)
    y = F.conv2d(y, state["depthwise.weight"], stride=stride, padding=1, groups=mid)
    y = bn(F.conv2d(bn(y, "bn2"), state["expand.weight"], groups=4), "bn3")
    if se:
        gate = F.conv2d(y.mean((2, 3), keepdim=True), state["se.fc1.weight"], state["se.fc1.bias"])
        assert gate.shape[1] == 4  # 64 / 16
        y = y * F.conv2d(gate.relu(), state["se.fc2.weight"], state["se.fc2.bias"]).sigmoid()
    if stride == 1:
        expected = (x + y).relu()
    else:
        expected = torch.cat([F.avg_pool2d(x, 3, 2, 1), y], dim=1).relu()
    torch.testing.assert_close(unit(x), expected)


def test_only_the_very_first_pointwise_layer_is_ungrouped():
    units = [module for module in build(groups=8).modules() if isinstance(module, ShuffleUnit)]
    assert [unit.reduce.groups for unit in units] == [1] + [8] * 15
    assert {unit.expand.groups for unit in units} == {8}


def test_initial_weights_are_the_authors():
    torch.manual_seed(0)
    net = timm.create_model("shufflenet_v1", se=True)
    assert net.stage1[0].weight.std().item() == pytest.approx(0.01, rel=0.1)
    unit = net.stage5[1]
    assert unit.expand.weight.std().item() == pytest.approx(1 / 80, rel=0.02)
    assert unit.depthwise.weight.std().item() == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize(
    ("knobs", "text"),
    [
        ({"groups": 5}, r"model\.groups=5: must be 1, 2, 3, 4 or 8"),
        ({"width": 24}, r"model\.width=24: must be from 0\.25 to 2"),
        ({"stem_width": 25}, r"model\.knobs\.stem_width=25: must be .* multiple of groups=3"),
        ({"stem_width": 240}, r"model\.knobs\.stem_width=240: must be below 240"),
    ],
)
def test_wrong_knobs_are_one_line(knobs, text):
    with pytest.raises(UserError, match=text):
        build(**knobs)

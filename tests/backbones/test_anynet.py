import math

import pytest
import timm
import torch

from cnnlab.backbones.anynet import block_widths, stages_of, whole_groups
from cnnlab.complexity.count import count
from cnnlab.errors import UserError

# Radosavovic et al. 2020, Tables 2 and 3, as pycls dev/model_complexity.json counts them:
# d, w0, wa, wm, g, depths, parameters, multiply-adds with the classifier's bias.
NETS = """
regnetx_002,13,24,36.44,2.49,8,1 1 4 7,2684792,199040872
regnetx_004,22,24,24.48,2.54,16,1 2 7 12,5157512,397678568
regnetx_006,16,48,36.97,2.24,24,1 3 5 7,6196040,600891112
regnetx_008,16,56,35.73,2.28,16,1 3 7 5,7259656,799700712
regnetx_016,18,80,34.01,2.25,24,2 4 10 2,9190136,1602850792
regnetx_032,25,88,26.31,2.25,48,2 6 15 2,15296552,3176622952
regnetx_040,23,96,38.65,2.43,40,2 5 14 2,22118248,3964499816
regnetx_064,17,184,60.83,2.07,56,2 4 10 1,26209256,6460292264
regnetx_080,23,80,49.56,2.88,120,2 5 15 1,39572648,7995133416
regnetx_120,19,168,73.36,2.37,112,2 5 11 1,46106056,12086679016
regnetx_160,22,216,55.59,2.1,128,2 6 13 1,54278536,15940756456
regnetx_320,23,320,69.86,2.0,168,2 7 13 1,107811560,31735930792
regnety_002,13,24,36.44,2.49,8,1 1 4 7,3162996,199519076
regnety_004,16,48,27.89,2.09,8,1 3 6 6,4344144,401849056
regnety_006,15,48,32.54,2.32,16,1 3 7 4,6055160,601227608
regnety_008,14,56,38.84,2.4,16,1 3 8 2,6263168,797183328
regnety_016,27,48,20.71,2.65,24,2 6 17 2,11202430,1612087326
regnety_032,21,80,42.63,2.66,24,2 5 13 1,19436338,3176496162
regnety_040,22,96,31.41,2.24,64,2 6 12 2,20646656,3973301344
regnety_064,25,112,33.22,2.27,72,2 7 14 2,30583252,6355221876
regnety_080,17,192,76.82,2.19,56,2 4 10 1,39180068,7963074196
regnety_120,19,168,73.36,2.37,112,2 5 11 1,51822544,12092395504
regnety_160,18,200,106.23,2.48,112,2 4 11 1,83590140,15911534044
regnety_320,20,232,115.89,2.53,232,2 5 12 1,145046770,32279583362
"""
WORDS = ("name", "depth", "w0", "wa", "wm", "group_width", "depths", "params", "macs_and_biases")
ROWS = [dict(zip(WORDS, line.split(","), strict=True)) for line in NETS.strip().splitlines()]


def knobs_of(row):
    six = {"depth": int(row["depth"]), "w0": int(row["w0"]), "group_width": int(row["group_width"])}
    six |= {"wa": float(row["wa"]), "wm": float(row["wm"])}
    return six | {"se_ratio": 0.25 if "y" in row["name"] else 0.0}


def meta(name, **knobs):
    with torch.device("meta"):
        return timm.create_model(name, **knobs)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_six_numbers_give_the_published_net(row):
    ours, theirs = meta("regnet_generated", **knobs_of(row)), meta(row["name"])
    ours_shapes = [value.shape for value in ours.state_dict().values()]
    assert ours_shapes == [value.shape for value in theirs.state_dict().values()]
    cost = count(ours, (3, 224, 224))
    assert cost.params == int(row["params"])
    # pycls counts the biases of the classifier and of SE's convolutions as operations.
    biases = sum(m.bias.numel() for m in ours.modules() if getattr(m, "bias", None) is not None
                 and not isinstance(m, torch.nn.BatchNorm2d))  # fmt: skip
    assert cost.macs + biases == int(row["macs_and_biases"])
    assert [len(ours.get_submodule(f"stage{i}")) for i in (1, 2, 3, 4)] == [
        int(depth) for depth in row["depths"].split()
    ]


@pytest.mark.parametrize("row", [ROWS[0], ROWS[12]], ids=lambda row: row["name"])
def test_equal_weights_give_equal_logits(row):
    torch.manual_seed(0)
    theirs = timm.create_model(row["name"]).eval()
    for value in theirs.buffers():
        if value.is_floating_point():
            value.uniform_(0.5, 1.5)
    ours = timm.create_model("regnet_generated", **knobs_of(row)).eval()
    values = theirs.state_dict().values()
    ours.load_state_dict(dict(zip(ours.state_dict(), values, strict=True)))
    images = torch.randn(2, 3, 64, 79)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images), rtol=1e-4, atol=1e-4)


def test_generator_of_the_worked_example():
    """RegNetX-800MF, block by block (formulas.csv, F31)."""
    six = {"depth": 16, "w0": 56, "wa": 35.73, "wm": 2.28}
    assert block_widths(**six) == [56] + 3 * [128] + 7 * [288] + 5 * [664]
    assert stages_of(**six, group_width=16) == ([1, 3, 7, 5], [64, 128, 288, 672], [16] * 4)


@pytest.mark.parametrize("ratio", [1, 2, 4, 0.5])
@pytest.mark.parametrize("width", [8, 24, 64, 200, 1000])
@pytest.mark.parametrize("group", [1, 8, 24, 96])
def test_groups_are_whole(width, group, ratio):
    good, narrowed = whole_groups(width, group, ratio)
    assert good / ratio % narrowed == 0
    assert narrowed <= group
    assert abs(good - width) <= ratio * narrowed / 2
    assert whole_groups(good, narrowed, ratio) == (good, narrowed)


def test_sixteen_numbers_are_free():
    knobs = {"depths": [2, 1, 3, 1], "widths": [32, 48, 96, 80]}
    free = knobs | {"bottleneck_ratio": [1, 2, 4, 1], "group_width": [8, 24, 12, 16]}
    net = meta("anynet", **free)
    for stage, (width, ratio, group) in enumerate(
        zip(free["widths"], free["bottleneck_ratio"], free["group_width"], strict=True), start=1
    ):
        block = net.get_submodule(f"stage{stage}")[0]
        assert block.conv2.in_channels == width / ratio
        assert block.conv2.weight.shape[1] == group
        assert block.conv3.out_channels == width
    shared = meta("anynet", **knobs, bottleneck_ratio=2, group_width=8)
    spelled = meta("anynet", **knobs, bottleneck_ratio=[2] * 4, group_width=[8] * 4)
    assert str(shared) == str(spelled)


def test_every_parameter_gets_a_gradient_and_odd_sizes_work():
    torch.manual_seed(0)
    knobs = {"depths": [1, 2, 1, 1], "widths": [16, 16, 24, 32], "se_ratio": 0.25, "in_chans": 1}
    net = timm.create_model("anynet", num_classes=5, **knobs)
    net(torch.rand(8, 1, 64, 64)).square().sum().backward()
    assert not [key for key, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    features = meta("anynet", features_only=True, **knobs)
    maps = features(torch.empty(1, 1, 97, 128, device="meta"))
    assert [tensor.shape[1] for tensor in maps] == [16, 16, 24, 32]
    assert [tuple(tensor.shape[2:]) for tensor in maps] == [
        (math.ceil(97 / stride), 128 // stride) for stride in (4, 8, 16, 32)
    ]


@pytest.mark.parametrize(("knobs", "message"), [
    ({"depths": [1, 2, 3]}, "depths=.* four numbers"),
    ({"group_width": [8, 8]}, "group_width=.* one or four"),
    ({"widths": [24, 56, 152, 370]}, "stage 4 .* nearest: width 368 with group_width 8"),
])  # fmt: skip
def test_wrong_anynet_is_one_line(knobs, message):
    with pytest.raises(UserError, match=message):
        timm.create_model("anynet", **knobs)


@pytest.mark.parametrize(("knobs", "message"), [
    ({"w0": 20}, "w0 a multiple of 8"),
    ({"wm": 1.0}, "wm > 1"),
    ({"depth": 3}, "must give 4 stages; these give"),
])  # fmt: skip
def test_wrong_regnet_is_one_line(knobs, message):
    with pytest.raises(UserError, match=message):
        timm.create_model("regnet_generated", **knobs)

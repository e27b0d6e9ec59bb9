import copy
import math
import random

import pytest
import timm
import torch
from timm.layers import DropPath

from cnnlab.backbones.nasnet_a import NASNET_A
from cnnlab.backbones.nasnet_operations import OPERATIONS, FactorizedReduction
from cnnlab.complexity.count import count
from cnnlab.errors import UserError

# Parameters and multiply-adds of Zoph et al. 2018 (Tables 1 to 3, as the Keras documentation has
# them) and what was counted.
PUBLISHED = {
    "nasnet_a_mobile": (5.3, 564, 5_289_978, 563_638_816),
    "nasnet_a_large": (88.9, 23_800, 88_753_150, 23_783_414_658),
    "nasnet_a_cifar": (3.3, None, 3_328_234, 525_786_624),
}
SMALL = {"filters": 8, "stem_width": 8, "cells": 1}


def meta(name, **knobs):
    with torch.device("meta"):
        return timm.create_model(name, **knobs)


def random_genotype(rng, blocks=5):
    def cell():
        rows = []
        for index in range(blocks):
            pairs = [[rng.choice(list(OPERATIONS)), rng.randrange(index + 2)] for _ in range(2)]
            rows.append([*pairs, rng.choice(["add", "concat"])])
        used = {state for row in rows for _, state in row[:2]}
        unused = [state for state in range(blocks + 2) if state not in used]
        return {"blocks": rows, "concat": unused}

    return {"normal": cell(), "reduction": cell()}


@pytest.mark.parametrize("name", PUBLISHED)
def test_cost_is_the_papers(name):
    params_m, macs_m, params, macs = PUBLISHED[name]
    net = meta(name)
    cost = count(net, net.default_cfg["input_size"])
    assert (cost.params, cost.macs) == (params, macs)
    assert cost.params / 1e6 == pytest.approx(params_m, rel=0.01)
    assert macs_m is None or cost.macs / 1e6 == pytest.approx(macs_m, rel=0.01)


def timms_names(net):
    """Our names of the large net's tensors -> timm's, in our order."""
    cells = ["cell_stem_0", "cell_stem_1"]
    for row in range(3):
        cells += [f"reduction_cell_{row - 1}"] if row else []
        cells += [f"cell_{6 * row + index}" for index in range(6)]
    ours = [f"stage{stage}.{i}" for stage in (2, 3, 4, 5)
            for i in range(len(net.get_submodule(f"stage{stage}")))]  # fmt: skip
    places = dict(zip(ours, cells, strict=True))
    conv_bn = {"1": "conv", "2": "bn"}
    separable = {
        "1": "separable_1.depthwise_conv2d", "2": "separable_1.pointwise_conv2d", "3": "bn_sep_1",
        "5": "separable_2.depthwise_conv2d", "6": "separable_2.pointwise_conv2d", "7": "bn_sep_2",
    }  # fmt: skip
    factorized = {"path1": "path_1.conv", "path2": "path_2.conv", "norm": "final_path_bn"}
    for key in net.state_dict():
        path, _, last = key.rpartition(".")
        if path.startswith("stage1"):
            yield f"conv0.{'conv' if path.endswith('0.0') else 'bn'}.{last}"
        elif path.startswith("head"):
            yield f"last_linear.{last}"
        else:
            stage, index, part, *rest = path.split(".")
            place = places[f"{stage}.{index}"]
            if part == "here":
                yield f"{place}.conv_1x1.{conv_bn[rest[0]]}.{last}"
            elif part == "before" and rest[0] in factorized:
                yield f"{place}.{factorized[rest[0]]}.{last}"
            elif part == "before":
                yield f"{place}.conv_prev_1x1.{conv_bn[rest[0]]}.{last}"
            else:
                yield f"{place}.comb_iter_{rest[0]}_{part}.{separable[rest[1]]}.{last}"


@pytest.mark.parametrize("size", [(97, 97), (96, 113)])
def test_equal_weights_give_timms_logits(size):
    torch.manual_seed(0)
    narrow = {"num_classes": 7}
    theirs = timm.create_model("nasnetalarge", num_features=24 * 8, stem_size=12, **narrow).eval()
    for value in theirs.buffers():
        if value.is_floating_point():
            value.uniform_(0.5, 1.5)
    ours = timm.create_model("nasnet_a_large", filters=8, stem_width=12, **narrow).eval()
    state = theirs.state_dict()
    names = list(timms_names(ours))
    assert sorted(names) == sorted(state)
    ours.load_state_dict({key: state[n] for key, n in zip(ours.state_dict(), names, strict=True)})
    images = torch.randn(2, 3, *size)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images), rtol=1e-4, atol=1e-4)


def test_number_of_cells_in_the_search_space():
    """13 operations, 5 blocks, add or concat (deck 0; formulas.csv, F37): 2.287e18."""
    assert len(OPERATIONS) == 13
    cells = 1
    for block in range(5):
        genotype = copy.deepcopy(NASNET_A)
        states = 0
        while True:  # so many states may block `block` take
            genotype["normal"]["blocks"][block][0][1] = states
            try:
                meta("nasnet_a_cifar", genotype=genotype, **SMALL)
            except UserError:
                break
            states += 1
        cells *= (states * len(OPERATIONS)) ** 2 * len(["add", "concat"])
    assert cells == 2_286_906_949_584_691_200


@pytest.mark.parametrize("name", ["nasnet_a_cifar", "nasnet_a_mobile"])
@pytest.mark.parametrize("seed", range(3))
def test_other_cells_plug_in(name, seed):
    genotype = random_genotype(random.Random(seed))
    features = meta(name, genotype=genotype, features_only=True, **SMALL)
    maps = features(torch.empty(1, 3, 65, 96, device="meta"))
    assert [tensor.shape[1] for tensor in maps] == features.feature_info.channels()
    assert [96 // tensor.shape[3] for tensor in maps] == features.feature_info.reduction()


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(("chans", "stride"), [(4, 1), (4, 2), (6, 1), (6, 2)])
def test_operations_keep_size_or_halve_it(operation, chans, stride):
    for size in ((8, 8), (9, 5)):
        output = OPERATIONS[operation](chans, 4, stride)(torch.randn(2, chans, *size))
        assert output.shape == (2, 4, *(math.ceil(length / stride) for length in size))


def test_factorized_reduction_looks_at_two_grids():
    layer = FactorizedReduction(1, 2).eval()
    torch.nn.init.ones_(layer.path1.weight)
    torch.nn.init.ones_(layer.path2.weight)
    layer.norm.eps = 0.0
    x = torch.arange(1.0, 26.0).view(1, 1, 5, 5)
    even, odd = layer(x)[0]
    assert torch.equal(even, x[0, 0, ::2, ::2])
    assert torch.equal(odd, torch.tensor([[7.0, 9, 0], [17, 19, 0], [0, 0, 0]]))


def test_concat_is_wider_than_add():
    added, joined = copy.deepcopy(NASNET_A), copy.deepcopy(NASNET_A)
    joined["normal"]["blocks"][4].append("concat")
    widths = [meta("nasnet_a_cifar", genotype=g, **SMALL).num_features for g in (added, joined)]
    assert widths == [4 * 8 * 6, 4 * 8 * 7]


def test_skipping_the_reductions_input_changes_only_the_wiring():
    torch.manual_seed(0)
    plain = timm.create_model("nasnet_a_cifar", cells=2, filters=4, stem_width=4).eval()
    skipping = timm.create_model(
        "nasnet_a_cifar", cells=2, filters=4, stem_width=4, skip_reduction_input=True
    ).eval()
    skipping.load_state_dict(plain.state_dict())
    images = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        assert not torch.allclose(plain(images), skipping(images))
        assert torch.equal(
            torch.stack([p.sum() for p in plain.parameters()]),
            torch.stack([p.sum() for p in skipping.parameters()]),
        )


@pytest.mark.parametrize("name", ["nasnet_a_cifar", "nasnet_a_mobile"])
def test_every_parameter_gets_a_gradient(name):
    torch.manual_seed(0)
    net = timm.create_model(name, num_classes=5, in_chans=1, **SMALL)
    net(torch.rand(4, 1, 64, 64)).square().sum().backward()
    assert not [key for key, p in net.named_parameters() if p.grad is None or not p.grad.any()]


def test_features_are_the_classifiers():
    torch.manual_seed(0)
    classifier = timm.create_model("nasnet_a_mobile", num_classes=5, **SMALL).eval()
    features = timm.create_model("nasnet_a_mobile", features_only=True, **SMALL).eval()
    state = {k: v for k, v in classifier.state_dict().items() if not k.startswith("head.fc")}
    features.body.load_state_dict(state)
    images = torch.randn(1, 3, 65, 64)
    with torch.no_grad():
        last = features(images)[-1]
        torch.testing.assert_close(last.relu(), classifier.forward_features(images))


def test_drop_path_grows_with_depth():
    net = meta("nasnet_a_cifar", drop_path=0.5, **SMALL)
    rates = [module.drop_prob for module in net.modules() if isinstance(module, DropPath)]
    assert rates == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    assert list(net.state_dict()) == list(meta("nasnet_a_cifar", **SMALL).state_dict())


def test_drop_path_spares_identities():
    torch.manual_seed(0)
    cell = {"blocks": [[["sep_3x3", 0], ["identity", 1]]], "concat": [1, 2]}
    genotype = {"normal": cell, "reduction": cell}
    net = timm.create_model("nasnet_a_cifar", genotype=genotype, drop_path=1.0, **SMALL).train()
    before, block = net.stage3[1](torch.rand(2, 64, 4, 4), torch.rand(2, 32, 8, 8)).chunk(2, dim=1)
    assert torch.equal(before, block)


@pytest.mark.parametrize(("change", "message"), [
    (lambda g: g.pop("reduction"), "normal and reduction"),
    (lambda g: g["normal"].pop("concat"), "normal: must have blocks and concat"),
    (lambda g: g["normal"]["blocks"][0][0].__setitem__(0, "sep_9x9"), "blocks.0.=.*sep_9x9"),
    (lambda g: g["reduction"]["blocks"][1][0].__setitem__(1, 3), "state must be 0 to 2"),
    (lambda g: g["normal"]["blocks"][0].append("mean"), "two pairs"),
    (lambda g: g["normal"].__setitem__("concat", [7]), "concat=.*different states, 0 to 6"),
])  # fmt: skip
def test_wrong_genotype_is_one_line(change, message):
    genotype = copy.deepcopy(NASNET_A)
    change(genotype)
    with pytest.raises(UserError, match=message):
        timm.create_model("nasnet_a_cifar", genotype=genotype)


@pytest.mark.parametrize("knob", [{"cells": 0}, {"filters": 2}, {"stem": "tiny"}])
def test_wrong_knobs_are_one_line(knob):
    (key,) = knob
    with pytest.raises(UserError, match=rf"model\.{key}="):
        timm.create_model("nasnet_a_cifar", **knob)

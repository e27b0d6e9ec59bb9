"""conf/model, nets of timm: equal torchvision's where it has them; every listed knob turns."""

import re
from functools import cache
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch import nn
from torchvision.models.resnet import Bottleneck, ResNet

import cnnlab.backbones  # noqa: F401  (registers ours)

CONF = Path(__file__).parents[2] / "conf"


def model(name, *overrides):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(f"model/{name}", overrides=["+seed=0", *overrides]).model


@cache
def build(name, *overrides):
    with torch.device("meta"):
        return instantiate(model(name, *overrides))(num_classes=None, in_chans=None)


def oracle(name, **arguments):
    with torch.device("meta"):
        return torchvision.models.get_model(name, weights=None, **arguments)


def shapes(net, smallest=1):
    """Rows and columns of all parameters with at least `smallest` dimensions, sorted.

    timm writes some linear layers as convolutions; as matrices they are equal.
    """
    found = [p for p in net.parameters() if p.ndim >= smallest]
    return sorted((p.shape[0], p.numel() // p.shape[0]) for p in found)


def millions(net):
    return sum(p.numel() for p in net.parameters()) / 1e6


@pytest.mark.parametrize("layers", [50, 101])
@pytest.mark.parametrize(("groups", "width"), [(2, 40), (4, 24), (8, 14)])
def test_rows_of_the_resnext_table_are_torchvisions(layers, groups, width):
    theirs = oracle(f"resnet{layers}", groups=groups, width_per_group=width)
    assert shapes(build(f"resnext{layers}_{groups}x{width}d")) == shapes(theirs)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        *((n, n) for n in ("vgg11", "vgg13", "vgg16", "vgg19", "vgg16_bn")),
        *((f"densenet{n}", f"densenet{n}") for n in (121, 161, 169, 201)),
        ("swin_tiny_patch4_window7_224", "swin_t"),
        ("swin_small_patch4_window7_224", "swin_s"),
        ("swin_base_patch4_window7_224", "swin_b"),
        ("vit_base_patch16_224", "vit_b_16"),
    ],
)
def test_has_torchvisions_shapes(name, theirs):
    assert shapes(build(name)) == shapes(oracle(theirs))


def test_inception_v3_has_torchvisions_shapes_without_its_auxiliary_head():
    theirs = oracle("inception_v3", init_weights=False, aux_logits=True)
    del theirs.AuxLogits
    assert shapes(build("inception_v3")) == shapes(theirs)


def test_resnet200_is_a_resnet_of_other_depths():
    with torch.device("meta"):
        theirs = ResNet(Bottleneck, [3, 24, 36, 3])
    assert shapes(build("resnet200")) == shapes(theirs)


@pytest.mark.parametrize("depth", [18, 50, 101, 152])
def test_preactivation_moves_normalisation_alone(depth):
    """He et al. 2016b: the same convolutions and classifier; only BatchNorm changes its place."""

    ours, theirs = build(f"resnetv2_{depth}"), oracle(f"resnet{depth}")
    assert shapes(ours, smallest=2) == shapes(theirs, smallest=2)
    assert shapes(ours) != shapes(theirs)


@pytest.mark.parametrize(
    ("name", "bare"),
    [("seresnet50", "resnet50"), ("legacy_seresnet50", "resnet50"),
     ("seresnext50_32x4d", "resnext50_32x4d")],
)  # fmt: skip
def test_squeeze_and_excitation_costs_what_the_paper_says(name, bare):
    """Hu et al. 2018, equation 5: 2 / r * the sum of N C^2 over the stages (r = 16), and biases."""
    blocks = {256: 3, 512: 4, 1024: 6, 2048: 3}
    weights = sum(n * 2 * c * c // 16 for c, n in blocks.items())
    biases = sum(n * (c + c // 16) for c, n in blocks.items())
    added = 1e6 * (millions(build(name)) - millions(build(bare)))
    assert round(added) == weights + biases


def test_densenet_is_growth_rate_and_blocks():
    turned = build("densenet121", "model.growth_rate=48", "model.block_config=[6,12,36,24]")
    assert shapes(turned) == shapes(build("densenet161"))


OTHERWISE = {
    "groups": "2",
    "width_per_group": "32",
    "layers": "[1,1,1,1]",
    "depths": "[1,1,1,1]",
    "dims": "[64,128,256,512]",
    "kernel_sizes": "3",
    "depth": "3",
    "growth_rate": "8",
    "block_config": "[1,1,1,1]",
    "drop_path": "0.7",
    "dropout": "0.7",
}
"""A value of each knob that no file lists."""
NO_KNOBS = {"_target_", "_partial_", "name", "weights", "freeze", "seed", "knobs"}


def families():
    """The files that inherit from `timm` alone and name a net of timm's, with their knobs."""
    for file in sorted((CONF / "model").glob("*.yaml")):
        text = file.read_text()
        name = re.search(r"^name: (\w+)", text, re.MULTILINE)
        if "defaults: [timm, _self_]" not in text or not name or not timm.is_model(name[1]):
            continue
        if timm.model_entrypoint(name[1]).__module__.startswith("timm."):
            keys = re.findall(r"^(\w+):", text, re.MULTILINE)
            yield from ((file.stem, key) for key in keys if key not in NO_KNOBS | {"defaults"})


KNOBS = list(families())


def test_families_are_found():
    assert len(KNOBS) >= 35
    assert {knob for _, knob in KNOBS} <= set(OTHERWISE)


@pytest.mark.parametrize(("name", "knob"), KNOBS)
def test_every_listed_knob_turns(name, knob):
    turned = build(name, f"model.{knob}={OTHERWISE[knob]}")
    if knob == "drop_path":
        assert max(getattr(m, "drop_prob", 0) or 0 for m in turned.modules()) > 0.6
    elif knob == "dropout":
        in_layers = [m.p for m in turned.modules() if isinstance(m, nn.Dropout)]
        assert 0.7 in [*in_layers, getattr(turned, "drop_rate", None)]
    else:
        assert shapes(turned) != shapes(build(name))

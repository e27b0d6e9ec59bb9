"""conf/model: every file builds, is the net it names, and has the published size."""

from pathlib import Path

import pytest
import timm
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

import cnnlab.backbones  # noqa: F401  (registers ours)
from cnnlab.catalogue import entries
from cnnlab.complexity.count import count
from cnnlab.reference import rows

CONF = Path(__file__).parents[2] / "conf"
CONFIGS = sorted(path.stem for path in (CONF / "model").glob("*.yaml") if path.stem != "timm")
WITH_ROW = {row.name for row in rows()}
COUNTED = [
    pytest.param(name, id=name, marks=[pytest.mark.slow] if name in WITH_ROW else [])
    for name in CONFIGS
]
"""tests/test_verify.py counts the nets that have a published row."""


def model(name, *overrides):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(f"model/{name}", overrides=["+seed=0", *overrides]).model


def build(config):
    with torch.device("meta"):
        return instantiate(config)(num_classes=None, in_chans=None)


def millions(net):
    return sum(p.numel() for p in net.parameters()) / 1e6


def test_nothing_is_lost():
    assert len(CONFIGS) >= 239
    assert {name for name in WITH_ROW if name} <= set(CONFIGS)


@pytest.mark.parametrize("name", CONFIGS)
def test_is_the_net_it_names(name):
    """The numbers listed in the file are those that timm's net of that name has by itself."""
    config = model(name)
    net = build(config)
    with torch.device("meta"):
        own = timm.create_model(config.name)
    if config.name.partition(".")[0] == name:  # else a row of a table: another net by its knobs
        assert {k: v.shape for k, v in net.state_dict().items()} == {
            k: v.shape for k, v in own.state_dict().items()
        }
    header = (CONF / "model" / f"{name}.yaml").read_text().splitlines()[1]
    told = f"{millions(net):.2f} M" if millions(net) >= 0.1 else f"{1e6 * millions(net):,.0f}"
    assert f"{told} parameters" in header
    size = "x".join(map(str, own.default_cfg["input_size"]))
    assert f"MACs at {size}." in header or name.startswith("efficientnet_b")


@pytest.mark.parametrize("name", COUNTED)
def test_the_macs_in_the_file_are_the_counters(name):
    (entry,) = entries(name)
    size = tuple(int(side) for side in entry.input_size.split("x"))
    macs = count(build(model(name)), size).macs
    assert entry.gmacs == pytest.approx(macs / 1e9, rel=1e-2)


def test_listed_knobs_turn():
    assert millions(build(model("resnext50_32x4d", "model.name=resnet50", "model.groups=8",
                                "model.width_per_group=14"))) == 25.603016  # fmt: skip
    assert millions(build(model("resnet_cifar", "model.depth=56", "model.shortcut=B"))) > 0.853018
    assert millions(build(model("plain_cifar", "model.depth=44", "model.width=16"))) == 0.658586
    assert millions(build(model("convnext_tiny", "model.kernel_sizes=3"))) < 28.5
    drop = build(model("efficientnet_b1", "model.drop_path=0.5", "model.dropout=0.7"))
    assert drop.drop_rate == 0.7
    assert drop.blocks[-1][-1].drop_path.drop_prob > 0.45
    config = model("timm", "model.name=resnet50", "+model.knobs.cardinality=2")
    assert config.weights is None
    assert millions(build(config)) > 25.557032

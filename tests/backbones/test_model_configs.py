"""conf/model: every file builds, is the net it names, and has the published size."""

import csv
from pathlib import Path

import pytest
import timm
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

import cnnlab.backbones  # noqa: F401  (registers ours)

CONF = Path(__file__).parents[2] / "conf"
CONFIGS = sorted(path.stem for path in (CONF / "model").glob("*.yaml") if path.stem != "timm")
with (Path(__file__).parent / "published.csv").open(newline="") as file:
    PUBLISHED = {row["config"]: row for row in csv.DictReader(file)}


def model(name, *overrides):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(f"model/{name}", overrides=["+seed=0", *overrides]).model


def build(config):
    with torch.device("meta"):
        return instantiate(config)(num_classes=None, in_chans=None)


def millions(net):
    return sum(p.numel() for p in net.parameters()) / 1e6


def test_nothing_is_lost():
    assert len(CONFIGS) >= 54
    assert set(PUBLISHED) <= set(CONFIGS)
    assert len(PUBLISHED) >= 40


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
    if name in PUBLISHED and not PUBLISHED[name]["difference"]:
        printed = PUBLISHED[name]["params_m"]
        last_digit = 10.0 ** -len(printed.partition(".")[2])
        assert abs(millions(net) - float(printed)) <= max(0.01 * float(printed), last_digit / 2)


@pytest.mark.parametrize("name", [n for n, row in PUBLISHED.items() if row["difference"]])
def test_accepted_differences_are_still_there(name):
    """An entry that no longer differs has to go."""
    published = float(PUBLISHED[name]["params_m"])
    assert abs(millions(build(model(name))) / published - 1) > 0.01


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

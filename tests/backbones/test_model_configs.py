"""conf/model: every file builds, is the net it names, and has the published size."""

from pathlib import Path

import pytest
import timm
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from safetensors.torch import save_file

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
    assert len(CONFIGS) >= 250
    assert {row.model for row in rows() if row.name} <= set(CONFIGS)


@pytest.mark.parametrize("name", CONFIGS)
def test_is_the_net_it_names(name):
    """The numbers listed in the file are those that timm's net of that name has by itself."""
    config = model(name)
    net = build(config)
    with torch.device("meta"):
        own = timm.create_model(config.name)
    size = "x".join(map(str, net.pretrained_cfg["input_size"]))
    if config.name.partition(".")[0] == name:  # else a row of a table: another net by its knobs
        assert {k: v.shape for k, v in net.state_dict().items()} == {
            k: v.shape for k, v in own.state_dict().items()
        }
    header = (CONF / "model" / f"{name}.yaml").read_text().splitlines()[1]
    told = f"{millions(net):.2f} M" if millions(net) >= 0.1 else f"{1e6 * millions(net):,.0f}"
    assert f"{told} parameters" in header
    assert f"MACs at {size}." in header


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


def batch_for(net):
    """Two images: of the size that the net must have, or of 96 pixels, to be quick.

    Without padding U-Net's maps vanish below 140 pixels.
    """
    cfg = net.pretrained_cfg
    channels, height, _ = cfg["input_size"]
    fixed = cfg.get("fixed_input_size") or cfg["architecture"].startswith(("alexnet", "zfnet"))
    fixed = fixed or getattr(net, "aux", None) is not None  # GoogLeNet's auxiliary heads
    side = height if fixed else min(height, 140 if cfg["architecture"] == "unet_valid" else 96)
    return torch.randn(2, channels, side, side, generator=torch.Generator().manual_seed(0))


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_trains_and_gives_features_with_real_tensors(name, tmp_path):
    net = instantiate(model(name))(num_classes=10, in_chans=None).train()
    images = batch_for(net)
    outputs = net(images)
    everything = [outputs[0], *outputs[1]] if isinstance(outputs, tuple) else [outputs]
    loss = sum(each.square().mean() for each in everything)
    loss.backward()
    assert torch.isfinite(loss)
    skipped = float(model(name).get("drop_path") or 0) > 0  # a block left out has no gradient
    without = [key for key, p in net.named_parameters() if p.grad is None]
    assert skipped or not without
    if name.startswith(("vit", "deit")):
        return  # one map, no pyramid
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    weights = f"model.weights={tmp_path}/net.safetensors"
    features = instantiate(model(name, weights))(features_only=True).eval()
    assert not features.load_report.reinitialised
    with torch.no_grad():
        maps = features(images)
    assert len(maps) == len(features.feature_info.channels()) > 1
    assert all(torch.isfinite(each).all() for each in maps)

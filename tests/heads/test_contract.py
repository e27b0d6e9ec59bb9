"""Every segmentation head of conf/head over backbones that have little in common."""

from pathlib import Path

import pytest
import torch
import yaml
from torch.nn import functional as F

from cnnlab.config import compose
from cnnlab.config.definitions import find
from cnnlab.config.signature import attribute
from cnnlab.errors import UserError
from cnnlab.tasks.build import instantiate

CONF = Path(__file__).parents[2] / "conf" / "head"
OWN_BACKBONE = {"fcn_vgg": "fcn_vgg16", "unet_valid": "unet_valid"}
"""Heads that are one net with their backbone, by the paper."""
BACKBONES = ["resnet20_cifar", "alexnet", "resnet18", "convnext_atto"]
SPREAD = [
    "lenet5_modern",
    "vgg11",
    "googlenet",
    "inception_v3",
    "densenet121",
    "mobilenetv2_100",
    "efficientnet_b0",
    "regnety_004",
    "shufflenet_v1",
    "shiftresnet20_cifar",
    "deform_resnet18",
    "swin_tiny_patch4_window7_224",
]


def _target(file: Path) -> str:
    node = yaml.safe_load(file.read_text())
    if "_target_" in node.get("head", {}):
        return node["head"]["_target_"]
    parents = [name for name in node["defaults"] if isinstance(name, str) and name != "_self_"]
    return _target(file.with_name(f"{parents[0]}.yaml"))


def _heads() -> list[str]:
    return sorted(
        file.stem
        for file in CONF.glob("*.yaml")
        if "segmentation" in attribute(find(_target(file)), "tasks")
    )


HEADS = _heads()


def build(head: str, model: str, num_classes: int = 5, *words: str):
    composed = compose([f"model={model}", "data=digit_scenes", f"head={head}", *words])
    return instantiate(composed.cfg.head)(instantiate(composed.cfg.model), num_classes, 3)


def learns(net, side: int = 64, steps: int = 1) -> None:
    """Steps at `side` px move the scores and the backbone; an odd size keeps its size."""
    images, targets = torch.rand(2, 3, side, side), torch.randint(5, (2, side, side))
    before = [p.detach().clone() for p in net.parameters()]
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        logits = net.train()(images)
        assert logits.shape == (2, 5, side, side)
        F.cross_entropy(logits, targets).backward()
        learnable = {name: p for name, p in net.named_parameters() if p.requires_grad}
        assert [name for name, p in learnable.items() if p.grad is None] == []
        optimizer.step()
    backbone = {id(p) for p in net.backbone.parameters()}
    moved = [
        id(p) in backbone
        for p, old in zip(net.parameters(), before, strict=True)
        if not torch.equal(p, old)
    ]
    assert any(moved)
    assert not all(moved)
    with torch.no_grad():
        assert net.eval()(torch.rand(1, 3, side + 3, side + 19)).shape == (
            1,
            5,
            side + 3,
            side + 19,
        )


def test_heads_and_backbones_are_found():
    assert all((CONF.parent / "model" / f"{name}.yaml").is_file() for name in BACKBONES + SPREAD)
    assert len(HEADS) >= 16
    assert {"unet", "fcn", "fcn32s", "deeplabv3plus", *OWN_BACKBONE} <= set(HEADS)


@pytest.mark.parametrize("model", BACKBONES)
@pytest.mark.parametrize("head", [name for name in HEADS if name not in OWN_BACKBONE])
def test_a_step_and_an_odd_size(head, model):
    learns(build(head, model))


@pytest.mark.parametrize(
    "head",
    [pytest.param("fcn_vgg", marks=pytest.mark.slow), "unet_valid"],  # 134 M parameters
)
def test_heads_that_are_one_net_with_their_backbone(head):
    # Where all scores begin at zero (FCN) the first step moves nothing behind them.
    learns(build(head, OWN_BACKBONE[head]), steps=2 if head == "fcn_vgg" else 1)


@pytest.mark.slow
@pytest.mark.parametrize("model", SPREAD)
@pytest.mark.parametrize("head", [name for name in HEADS if name not in OWN_BACKBONE])
def test_a_spread_of_backbones(head, model):
    fixed = model.startswith("swin")
    words = ["head.depth=3"] if fixed and head == "pan" else []
    if model == "lenet5_modern" and head in ("fcn", "fcn8s"):  # which has two maps, not three
        with pytest.raises(UserError, match=r"head\.fuse=2: must be 0 to 1"):
            build(head, model)
        words = ["head.fuse=1"]
    net = build(head, model, 5, *words)
    if not fixed:
        learns(net, 128)
        return
    images = torch.rand(2, 3, 224, 224)  # its windows want the size it was made for
    assert net(images).shape == (2, 5, 224, 224)


@pytest.mark.parametrize("head", HEADS)
def test_the_layers_of_scores_are_named(head):
    """What AGC leaves out: the channels of each are the classes, 13 of them here."""
    with torch.device("meta"):
        net = build(head, OWN_BACKBONE.get(head, "resnet18"), 13)
    layers = [m for part in net.get_classifier() for m in part.modules() if hasattr(m, "weight")]
    assert layers
    assert all(13 in (layer.weight.shape[0], layer.weight.shape[1]) for layer in layers)
    others = {id(m) for m in layers}
    assert not [
        name
        for name, m in net.named_modules()
        if id(m) not in others and getattr(m, "out_channels", None) == 13
    ]

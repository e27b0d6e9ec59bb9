"""Every detection head of conf/head over backbones that have little in common."""

from pathlib import Path

import pytest
import torch
import yaml

from cnnlab.boxes.outputs import AnchorOutputs
from cnnlab.config import compose
from cnnlab.config.definitions import find
from cnnlab.config.signature import attribute
from cnnlab.data.batch import Batch, Boxes
from cnnlab.tasks.base import Task
from cnnlab.tasks.build import instantiate

CONF = Path(__file__).parents[2] / "conf" / "head"
BACKBONES = ["resnet20_cifar", "alexnet", "resnet18", "convnext_atto"]
SPREAD = [
    "lenet5_modern",
    "vgg11",
    "googlenet",
    "densenet121",
    "mobilenetv2_100",
    "efficientnet_b0",
    "regnety_004",
    "shufflenet_v1",
    "deform_resnet18",
    "swin_tiny_patch4_window7_224",
]
CLASSES = ["ant", "bee", "cat", "dog", "eel"]


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
        if attribute(find(_target(file)), "tasks") == ("detection",)
    )


HEADS = _heads()


def build(head: str, model: str, *words: str) -> Task:
    cfg = compose(
        [
            *(f"model={model}", "data=digit_scenes", "task=detection", f"head={head}"),
            *("recipe.head_width=16", "task.score_threshold=0.0", *words),
        ]
    ).cfg
    torch.manual_seed(0)
    net = instantiate(cfg.head)(instantiate(cfg.model), len(CLASSES), 3)
    loss = instantiate(cfg.loss)([1] * len(CLASSES))
    parts = instantiate(cfg.optimizer), instantiate(cfg.scheduler)
    return instantiate(cfg.task)(net, loss, *parts, CLASSES, 0)


def batch(images: torch.Tensor, rows: list[tuple[int, int, bool, list[float]]]) -> Batch:
    """Rows: image, label, crowd, box as shares of the sides."""
    height, width = images.shape[-2:]
    xyxy = torch.tensor([box for *_, box in rows]).view(-1, 4)
    xyxy = xyxy * torch.tensor([width, height, width, height])
    boxes = Boxes(
        xyxy,
        torch.tensor([label for _, label, _, _ in rows], dtype=torch.int64),
        torch.tensor([image for image, *_ in rows], dtype=torch.int64),
        torch.tensor([crowd for _, _, crowd, _ in rows], dtype=torch.bool),
        (xyxy[:, 2:] - xyxy[:, :2]).prod(1),
    )
    frames = torch.tensor([[height, width, 0.5, 2.0]]).repeat(len(images), 1)
    return Batch(images, boxes, torch.arange(len(images)), frames)


ROWS = [
    (0, 1, False, [0.1, 0.2, 0.6, 0.7]),
    (0, 4, False, [0.5, 0.5, 0.95, 0.9]),
    (0, 2, True, [0.0, 0.0, 0.5, 0.2]),
    (2, 3, False, [0.2, 0.1, 0.8, 0.9]),
]
"""Image 1 has none."""


def learns(task: Task, side: int = 64) -> None:
    """A step at `side` px moves backbone, scores and places; so does one without a box, finitely.

    Where each level has layers of its own, those of some level: one without a positive places
    nothing.
    """
    task.train()
    optimizer = torch.optim.SGD(task.net.parameters(), 1e-2)
    for rows in (ROWS, []):
        given = batch(torch.rand(3, 3, side, side), rows)
        losses = task.losses(task.net(given.images), given)
        assert all(loss.ndim == 0 and loss.isfinite() for loss in losses.values()), losses
        optimizer.zero_grad()
        sum(losses.values()).backward()
        learnable = {k: p for k, p in task.net.named_parameters() if p.requires_grad}
        assert [name for name, p in learnable.items() if p.grad is None] == []
        assert [name for name, p in learnable.items() if not p.grad.isfinite().all()] == []
        before = {name: p.detach().clone() for name, p in learnable.items()}
        optimizer.step()
        if not rows:
            continue
        moved = {name for name, p in learnable.items() if not torch.equal(p, before[name])}
        with_gradient = {name for name, p in learnable.items() if p.grad.any()}
        for part in parts(task.net):
            own = {name for name in learnable if name.startswith(f"{part}.")}
            assert own & with_gradient, part
            assert own & moved, part


def parts(net: torch.nn.Module) -> list[str]:
    """The backbone, and what scores and places, of each stage."""
    ends = [
        name for name, _ in net.named_modules() if name.split(".")[-1] in ("scoring", "placing")
    ]
    assert len(ends) in (2, 4), ends
    return ["backbone", *ends]


def predicts(task: Task, size: tuple[int, int]) -> None:
    """Boxes in pixels of the original images, which are half as high and twice as wide."""
    task.eval()
    given = batch(torch.rand(2, 3, *size), [])
    with torch.no_grad():
        outputs = task.net(given.images)
        assert all(loss.isfinite() for loss in task.losses(outputs, given).values())
        found = task.predict(outputs, given)
    assert len(found) == 2
    for one in found:
        assert 0 < len(one.score) <= 100
        assert one.xyxy.shape == (len(one.score), 4)
        assert one.xyxy.isfinite().all()
        assert (one.xyxy >= 0).all()
        assert (one.xyxy[:, ::2] <= 2.0 * size[1]).all()
        assert (one.xyxy[:, 1::2] <= 0.5 * size[0]).all()
        assert (one.xyxy[:, 2:] >= one.xyxy[:, :2]).all()
        assert ((one.score >= 0) & (one.score <= 1)).all()
        assert (one.score[:-1] >= one.score[1:]).all()
        assert ((one.label >= 0) & (one.label < len(CLASSES))).all()


def test_heads_are_found():
    assert all((CONF.parent / "model" / f"{name}.yaml").is_file() for name in BACKBONES + SPREAD)
    assert {"retinanet", "ssd", "faster_rcnn", "class_aware_rpn", "rfcn"} <= set(HEADS)


@pytest.mark.parametrize("model", BACKBONES)
@pytest.mark.parametrize("head", HEADS)
def test_a_step_and_predictions_at_an_odd_size(head, model):
    task = build(head, model)
    learns(task)
    predicts(task, (64, 64))
    predicts(task, (67, 83))


@pytest.mark.slow
@pytest.mark.parametrize("model", SPREAD)
@pytest.mark.parametrize("head", HEADS)
def test_a_spread_of_backbones(head, model):
    task = build(head, model)
    if model.startswith("swin"):  # its windows want the size it was made for
        learns(task, 224)
        predicts(task, (224, 224))
        return
    learns(task, 128)
    predicts(task, (131, 147))


def final(outputs: AnchorOutputs) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores of the classes, and offsets: of two stages those of the second."""
    if outputs.second is None:
        return outputs.scores, outputs.deltas
    proposals = torch.tensor([[4.0, 4, 40, 40], [20, 10, 60, 50]])
    return outputs.second(proposals, torch.zeros(2, dtype=torch.int64))


@pytest.mark.parametrize("head", HEADS)
def test_the_layers_of_scores_are_named(head):
    """What AGC leaves out; the scores, and not the offsets, follow their biases."""
    net = build(head, "resnet18").net.eval()
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        scores, deltas = final(net(images))
        for layer in net.get_classifier():
            for parameter in layer.parameters():
                if parameter.ndim == 1:
                    parameter.add_(1.0)
        moved, same = final(net(images))
    assert not torch.allclose(moved, scores)
    torch.testing.assert_close(same, deltas)

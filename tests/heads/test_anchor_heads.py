"""SSD, class-aware RPN, Faster R-CNN and R-FCN over nets that have little in common."""

from functools import partial

import pytest
import torch
from torch import nn

from cnnlab.boxes.geometry import SPREAD
from cnnlab.boxes.matching import Truth
from cnnlab.complexity.count import count
from cnnlab.complexity.whole import whole
from cnnlab.config import check, compose
from cnnlab.data.batch import Batch, Boxes
from cnnlab.tasks.build import build_parts, instantiate
from cnnlab.tasks.detection import DetectionTask

HEADS = {
    "ssd": [],
    "class_aware_rpn": [],
    "faster_rcnn": ["head.hidden=32"],
    "faster_rcnn class_aware": ["head.hidden=32", "head.class_aware=true"],
    "rfcn": ["head.bins=3"],
    "rfcn class_aware": ["head.bins=3", "head.class_aware=true"],
}
SECOND = [name for name in HEADS if name.startswith(("faster", "rfcn"))]
CLASSES = 5


def build(name: str, model: str = "resnet20_cifar", *more: str):
    head = name.split()[0]
    words = [f"model={model}", "data=digit_scenes", "task=detection", f"head={head}"]
    composed = compose([*words, "recipe.head_width=16", *HEADS[name], *more])
    check(composed)
    net = instantiate(composed.cfg.head)(instantiate(composed.cfg.model), CLASSES, 3)
    return net, instantiate(composed.cfg.loss)(None)


def some_truth() -> Truth:
    xyxy = torch.tensor([[3.0, 4, 40, 44], [20, 20, 60, 60], [1, 2, 30, 25]])
    image = torch.tensor([0, 0, 1])
    return Truth.of(xyxy, torch.tensor([1, 2, 4]), image, torch.zeros(3, dtype=torch.bool))


@pytest.mark.parametrize("model", ["resnet20_cifar", "alexnet"])
@pytest.mark.parametrize("name", HEADS)
def test_a_step_at_an_odd_size(name, model):
    net, loss = build(name, model)
    losses = loss(net(torch.rand(2, 3, 67, 83)), some_truth())
    names = {"class", "box"} | ({"rpn_class", "rpn_box"} if name in SECOND else set())
    assert losses.keys() == names
    assert all(value.isfinite() and value > 0 for value in losses.values())
    sum(losses.values()).backward()
    assert [n for n, p in net.named_parameters() if p.grad is None] == []
    assert all(p.grad.isfinite().all() for p in net.parameters())
    assert any(p.grad.any() for p in net.backbone.parameters())


@pytest.mark.parametrize("name", HEADS)
def test_predictions_lie_in_the_images_and_in_their_original_pixels(name):
    net, loss = build(name)
    task = DetectionTask(
        *(net, loss, None, None, [str(i) for i in range(CLASSES)], 0),
        monitor="val/map",
        mode="max",
        score_threshold=0.05,
        candidates=1000,
        nms_iou=0.5,
        detections=20,
    ).eval()
    images = torch.rand(2, 3, 67, 83)
    frames = torch.tensor([[67.0, 83, 1, 1], [40, 50, 2, 3]])  # the second is padded, and larger
    batch = Batch(images, Boxes.none(), torch.arange(2), frames)
    with torch.no_grad():
        found = task.predict(task.infer(batch, "val"), batch)
    assert len(found) == 2
    for one, (height, width) in zip(found, [(67, 83), (80, 150)], strict=True):
        assert one.xyxy.shape == (20, 4)  # untrained: all classes score above the threshold
        assert one.xyxy.min() >= 0
        assert one.xyxy[:, 2].max() <= width
        assert one.xyxy[:, 3].max() <= height
        assert (one.score.diff() <= 0).all()
        assert ((one.label >= 0) & (one.label < CLASSES)).all()


@pytest.mark.parametrize("name", HEADS)
def test_no_boxes_in_the_batch(name):
    net, loss = build(name)
    empty = torch.zeros(0, dtype=torch.long)
    losses = loss(
        net(torch.rand(2, 3, 32, 32)), Truth.of(torch.zeros(0, 4), empty, empty, empty > 0)
    )
    assert all(value.isfinite() for value in losses.values())
    sum(losses.values()).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize("name", SECOND)
def test_images_without_proposals(name):
    net, loss = build(name)
    images = torch.rand(2, 3, 32, 32)
    # All anchors placed far outside: nothing is left of them.
    nn.init.constant_(net.rpn.placing.bias, 1000.0)
    losses = loss(net(images), some_truth())
    assert all(value.isfinite() for name, value in losses.items())
    sum(losses.values()).backward()
    outputs = net.eval()(images)
    scores, _ = outputs.second(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long))
    assert scores.shape == (0, 1 + CLASSES)


def test_each_level_of_ssd_is_scored_from_its_own_map():
    net, _ = build("ssd", "resnet18")
    outputs = net(torch.rand(1, 3, 64, 64))
    outputs.scores[:, : outputs.levels[0]].sum().backward()
    # Of the residual branch the last scale is 0 at first, and lets no gradient through.
    assert net.backbone.layer2[0].downsample[0].weight.grad.any()
    coarser = [*net.backbone.layer3.parameters(), *net.further.parameters()]
    assert all(p.grad is None or not p.grad.any() for p in coarser)


def test_ssd_places_in_units_of_the_spread():
    net, _ = build("ssd")
    for conv in net.placing:
        nn.init.zeros_(conv.weight)
        with torch.no_grad():
            conv.bias.copy_(torch.arange(24.0))  # six anchors a cell
    deltas = net(torch.rand(1, 3, 32, 32)).deltas[0].view(-1, 6, 4)
    expected = torch.arange(24.0).view(6, 4) * torch.tensor(SPREAD)
    torch.testing.assert_close(deltas, expected.expand_as(deltas))


def test_rfcn_averages_the_parts():
    net, _ = build("rfcn", "resnet18")
    for conv in (net.scoring, net.placing):
        nn.init.zeros_(conv.weight)
    with torch.no_grad():
        net.scoring.bias.copy_(torch.arange(9.0 * (1 + CLASSES)))
        net.placing.bias.copy_(torch.arange(36.0))
        outputs = net(torch.rand(1, 3, 64, 64))
        scores, deltas = outputs.second(torch.tensor([[5.0, 8, 60, 50]]), torch.tensor([0]))
    torch.testing.assert_close(scores, torch.arange(4.0, 54, 9)[None])
    torch.testing.assert_close(deltas, torch.tensor([[4.0, 13, 22, 31]]) * torch.tensor(SPREAD))


def test_rfcn_stands_on_the_level_of_the_nearest_stride():
    for stride, level in ((8, 0), (16, 1), (40, 2), (1000, 4)):
        net, _ = build("rfcn", "resnet18", f"head.stride={stride}")
        assert net.strides == [8, 16, 32, 64, 128]
        assert net.level == level


def test_the_second_stage_is_counted_for_all_proposals():
    net, _ = build("faster_rcnn", "resnet20_cifar", "head.proposals.kept=7")
    one, eight = (
        count(build("faster_rcnn", "resnet20_cifar", f"head.proposals.kept={n}")[0], (3, 32, 32))
        for n in (1, 8)
    )
    of_each = 16 * 49 * 32 + 32 * 32 + 32 * (1 + CLASSES) + 32 * 4 * CLASSES
    assert eight.macs - one.macs == 7 * of_each
    assert eight.params == one.params == sum(p.numel() for p in net.parameters())
    seen = []
    net.fc6.register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
    whole(net, torch.rand(1, 3, 32, 32))
    assert seen == [7]


@pytest.mark.parametrize("name", ["faster_rcnn", "rfcn"])
def test_bf16(name):
    net, loss = build(name)
    with torch.autocast("cpu", torch.bfloat16):
        losses = loss(net(torch.rand(2, 3, 64, 64)), some_truth())
    assert all(value.dtype == torch.float32 and value.isfinite() for value in losses.values())
    sum(losses.values()).backward()


def test_a_seed_repeats_what_is_drawn():
    net, loss = build("faster_rcnn", "resnet20_cifar", "loss.sample=16", "loss.rpn.sample=8")
    outputs = net(torch.rand(2, 3, 64, 64))
    draw = partial(loss, outputs, some_truth())
    totals = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        totals.append(sum(draw().values()).item())
    assert totals[0] == totals[1] != totals[2]


LEARNT = {
    "ssd": ["head.anchors.side=2"],
    "class_aware_rpn": ["head.anchors.side=2", "loss.sample=64"],
    "faster_rcnn": ["head.anchors.side=2", "head.hidden=64"],
    "rfcn": ["head.anchors.side=2", "head.bins=3", "head.stride=4"],
}


@pytest.mark.slow
@pytest.mark.parametrize("head", LEARNT)
def test_what_is_learnt_is_found(head):
    """Losses and predictions mean the same: after a few steps the scenes' digits are found."""
    words = ["model=resnet20_cifar", "data=digit_scenes", "task=detection", f"head={head}"]
    small = ["data.scenes=8", "data.image_size=64", "recipe.head_width=32", "head.levels=3"]
    if head in SECOND:
        small += ["head.proposals.kept=100", "loss.sample=64"]
    torch.manual_seed(0)
    data, task = build_parts(compose([*words, *small, *LEARNT[head], "seed=0"]).cfg)
    batch = data.prepare(data.splits.train.fetch(torch.arange(8)), True, 0)
    optimizer = torch.optim.AdamW(task.net.parameters(), 3e-3)
    task.train()
    for _ in range(80):
        losses = task.losses(task.net(batch.images), batch)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
    with torch.no_grad():
        metric = task.new_metric()
        metric.update(task.predict(task.net(batch.images), batch), task.truth(batch))
    assert metric.compute()["map50"] > 0.5

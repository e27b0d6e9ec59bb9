"""RetinaNet's training step on the CPU beside torchvision's, and what of it is not the network."""

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torchvision.models import resnet18
from torchvision.models.detection import RetinaNet as TheirRetinaNet
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from cnnlab.backbones import create
from cnnlab.boxes.matching import Truth
from cnnlab.heads.anchors import Anchors
from cnnlab.heads.retinanet import RetinaNet
from cnnlab.losses.retinanet import RetinaNetLoss

BATCH, SIZE, WIDTH, BOXES, ROUNDS = 4, (320, 416), 64, 12, 7


def measure() -> list[dict[str, Any]]:
    return [row for classes in (3, 80) for row in _rows(classes)]


def _rows(classes: int) -> list[dict[str, Any]]:
    torch.manual_seed(0)
    ours, theirs = _ours(classes), _theirs(classes)
    images = torch.rand(BATCH, 3, *SIZE)
    corner = torch.rand(BATCH, BOXES, 2) * torch.tensor([SIZE[1] - 90.0, SIZE[0] - 90.0])
    boxes = torch.cat((corner, corner + 10 + 80 * torch.rand(BATCH, BOXES, 2)), -1)
    labels = torch.randint(classes, (BATCH, BOXES))
    number = torch.arange(BATCH).repeat_interleave(BOXES)
    truth = Truth.of(
        boxes.flatten(0, 1), labels.flatten(), number, torch.zeros(len(number), dtype=torch.bool)
    )
    targets = [{"boxes": b, "labels": k} for b, k in zip(boxes, labels, strict=True)]
    loss = RetinaNetLoss(
        gamma=2.0,
        alpha=0.25,
        box="l1",
        box_weight=1.0,
        normalizer="image",
        foreground=0.5,
        background=0.4,
    )
    step, their_step = _timed(
        _step(ours, lambda: loss(ours(images), truth)),
        _step(theirs, lambda: theirs(list(images), targets)),
    )
    # The outputs as they are, cut off from the networks.
    out = ours(images)
    scores, deltas = (x.detach().requires_grad_() for x in (out.scores, out.deltas))
    cut = out._replace(scores=scores, deltas=deltas)
    heads = {"cls_logits": scores, "bbox_regression": deltas}
    matching, their_matching = _timed(
        lambda: sum(loss(cut, truth).values()).backward(),
        lambda: sum(theirs.compute_loss(targets, heads, [out.anchors] * BATCH).values()).backward(),
    )
    note = f"batch {BATCH} of {SIZE[0]}x{SIZE[1]}, {BOXES} boxes each"
    unit = "ms, less is better; reference: torchvision's RetinaNet"
    return [
        _row(f"RetinaNet, {classes} classes: a step", step, their_step, unit, note),
        _row(
            f"RetinaNet, {classes} classes: matching and loss",
            matching,
            their_matching,
            unit,
            f"{matching / step:.1%} of our step",
        ),
    ]


def _row(name: str, ours: float, theirs: float, unit: str, note: str) -> dict[str, Any]:
    return {
        "name": name,
        "ours": ours,
        "reference": theirs,
        "unit": unit,
        "ratio": ours / theirs,
        "target": "1 or less",
        "note": note,
    }


def _ours(classes: int) -> RetinaNet:
    anchors = Anchors(
        side=4.0, scales=(1.0, 1.26, 1.587), ratios=(0.5, 1.0, 2.0), offset=0.5, sizes=None
    )
    backbone = partial(create, name="resnet18", weights=None, freeze=0, seed=0, knobs={})
    words = {"levels": 5, "width": WIDTH, "depth": 4, "norm": None, "anchors": anchors}
    return RetinaNet(backbone, classes, 3, **words).train()


def _theirs(classes: int) -> TheirRetinaNet:
    maps = {"layer2": "0", "layer3": "1", "layer4": "2"}
    more = LastLevelP6P7(WIDTH, WIDTH)
    backbone = BackboneWithFPN(resnet18(weights=None), maps, [128, 256, 512], WIDTH, more)
    same = {"image_mean": [0.0] * 3, "image_std": [1.0] * 3}
    net = TheirRetinaNet(backbone, classes, min_size=SIZE[0], max_size=SIZE[1], **same)
    return net.train()


def _step(net: torch.nn.Module, losses: Callable[[], dict[str, Any]]) -> Callable[[], None]:
    optimizer = torch.optim.SGD(net.parameters(), 1e-3, momentum=0.9)

    def step() -> None:
        total = sum(losses().values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()

    return step


def _timed(*runs: Callable[[], None]) -> list[float]:
    """Median milliseconds of each, in turns; the first round warms up."""
    times: list[list[float]] = [[] for _ in runs]
    for round_ in range(ROUNDS):
        for run, seconds in zip(runs, times, strict=True):
            start = time.perf_counter()
            run()
            if round_:
                seconds.append(time.perf_counter() - start)
    return [statistics.median(seconds) * 1e3 for seconds in times]

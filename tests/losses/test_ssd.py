from types import SimpleNamespace

import pytest
import torch
from torchvision.models.detection._utils import BoxCoder, SSDMatcher
from torchvision.models.detection.ssd import SSD
from torchvision.ops import box_iou

from cnnlab.boxes.geometry import SPREAD
from cnnlab.boxes.matching import Truth
from cnnlab.boxes.outputs import AnchorOutputs
from cnnlab.losses.ssd import SSDLoss

CLASSES = 4


def loss(**changed) -> SSDLoss:
    keys = {
        "negatives": 3.0,
        "box": "smooth_l1",
        "box_weight": 1.0,
        "normalizer": "batch",
        "foreground": 0.5,
    }
    return SSDLoss(None, **(keys | changed))


def outputs(images: int = 3) -> AnchorOutputs:
    """A grid of anchors of two sizes over 64 pixels, 128 in all, with random scores."""
    generator = torch.Generator().manual_seed(0)
    middle = torch.arange(4.0, 64, 8)
    centre = torch.cartesian_prod(middle, middle)
    anchors = torch.cat([torch.cat((centre - s, centre + s), 1) for s in (8, 14)])
    scores = torch.randn(images, len(anchors), 1 + CLASSES, generator=generator)
    deltas = torch.randn(images, len(anchors), 4, generator=generator) * 0.2
    return AnchorOutputs(
        scores.requires_grad_(),
        deltas.requires_grad_(),
        anchors,
        (len(anchors),),
        (64, 64),
        True,
    )


BOXES = [
    torch.tensor([[3.0, 5, 20, 22], [30, 30, 60, 61], [4, 40, 12, 50]]),  # the last: forced only
    torch.zeros(0, 4),
    torch.tensor([[20.0, 18, 47, 44]]),
]
LABELS = [torch.tensor([1, 0, 3]), torch.zeros(0, dtype=torch.long), torch.tensor([2])]


def truth(boxes=BOXES, labels=LABELS, crowd=None) -> Truth:
    counts = torch.tensor([len(b) for b in boxes])
    image = torch.arange(len(boxes)).repeat_interleave(counts)
    flags = torch.zeros(len(image), dtype=torch.bool) if crowd is None else torch.tensor(crowd)
    return Truth.of(torch.cat(boxes), torch.cat(labels), image, flags)


def torchvisions(out: AnchorOutputs, boxes=BOXES, labels=LABELS) -> dict[str, torch.Tensor]:
    matched = []
    for own in boxes:
        none = torch.full((len(out.anchors),), -1)
        matched.append(SSDMatcher(0.5)(box_iou(own, out.anchors)) if len(own) else none)
    net = SimpleNamespace(box_coder=BoxCoder((10.0, 10.0, 5.0, 5.0)), neg_to_pos_ratio=3.0)
    found = SSD.compute_loss(
        net,
        [{"boxes": b, "labels": n + 1} for b, n in zip(boxes, labels, strict=True)],
        {"bbox_regression": out.deltas / torch.tensor(SPREAD), "cls_logits": out.scores},
        [out.anchors] * len(boxes),
        matched,
    )
    return {"class": found["classification"], "box": found["bbox_regression"]}


def test_values_and_gradients_equal_torchvision():
    mine, theirs = outputs(), outputs()
    found, expected = loss()(mine, truth()), torchvisions(theirs)
    for name in ("class", "box"):
        torch.testing.assert_close(found[name], expected[name], atol=1e-5, rtol=1e-5)
    sum(found.values()).backward()
    sum(expected.values()).backward()
    torch.testing.assert_close(mine.scores.grad, theirs.scores.grad, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(mine.deltas.grad, theirs.deltas.grad, atol=1e-6, rtol=1e-4)
    assert not mine.scores.grad[1].any()  # an image without boxes has no hard negatives


def test_three_of_the_hardest_for_each_positive():
    out = outputs(1)
    loss()(out, truth(BOXES[2:], LABELS[2:]))["class"].backward()
    touched = out.scores.grad[0].any(1)
    positive = box_iou(BOXES[2], out.anchors)[0] >= 0.5
    assert touched.sum() == 4 * positive.sum()
    cost = -out.scores[0].detach().log_softmax(-1)[:, 0]
    hard, easy = cost[touched & ~positive], cost[~touched]
    assert hard.min() >= easy.max()


def test_by_image_is_the_mean_of_single_images():
    alone = []
    for i in (0, 2):
        out = outputs()
        one = out._replace(scores=out.scores[i : i + 1], deltas=out.deltas[i : i + 1])
        alone.append(loss()(one, truth(BOXES[i : i + 1], LABELS[i : i + 1])))
    found = loss(normalizer="image")(outputs(), truth())
    for name in ("class", "box"):
        expected = (alone[0][name] + alone[1][name]) / 3  # the image between has no boxes
        torch.testing.assert_close(found[name], expected)


def test_crowds_are_neither():
    boxes, labels = [*BOXES[2:]], [*LABELS[2:]]
    boxes[0] = torch.cat((boxes[0], torch.tensor([[0.0, 0, 64, 16]])))
    labels[0] = torch.tensor([2, 1])
    out = outputs(1)
    loss(negatives=1000.0)(out, truth(boxes, labels, crowd=[False, True]))["class"].backward()
    touched = out.scores.grad[0].any(1)
    sides = out.anchors[:, 2:] - out.anchors[:, :2]
    limit = torch.tensor([64.0, 16, 64, 16])
    inside = out.anchors.clamp(min=0).minimum(limit)
    share = (inside[:, 2:] - inside[:, :2]).prod(1) / sides.prod(1)
    assert 0 < (share >= 0.5).sum() < len(share)
    assert torch.equal(touched, share < 0.5)


@pytest.mark.parametrize("box", ["l1", "giou", "diou", "ciou"])
def test_other_losses_of_the_place(box):
    out = outputs()
    found = loss(box=box, box_weight=2.0)(out, truth())
    found["box"].backward()
    assert found["box"] > 0
    assert out.deltas.grad.isfinite().all()
    assert out.deltas.grad.any()


def test_no_boxes_at_all_and_wild_outputs_elsewhere():
    none = [torch.zeros(0, 4)] * 3, [torch.zeros(0, dtype=torch.long)] * 3
    out = outputs()
    found = loss()(out, truth(*none))
    assert {k: v.item() for k, v in found.items()} == {"class": 0.0, "box": 0.0}
    sum(found.values()).backward()
    assert not out.scores.grad.any()
    out = outputs()
    with torch.no_grad():
        out.deltas[1] = torch.inf  # an image without boxes: no anchor is placed
    found = loss()(out, truth())
    sum(found.values()).backward()
    assert out.deltas.grad.isfinite().all()

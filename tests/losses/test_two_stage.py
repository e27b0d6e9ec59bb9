"""Its agreement with torchvision's is in tests/heads/test_faster_rcnn.py."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cnnlab.boxes.matching import Truth
from cnnlab.boxes.outputs import AnchorOutputs, Proposing
from cnnlab.losses import two_stage
from cnnlab.losses.two_stage import TwoStageLoss

SIZE = (64, 64)
MIDDLE = torch.arange(8.0, 64, 16)
CENTRE = torch.cartesian_prod(MIDDLE, MIDDLE)
ANCHORS = torch.cat((CENTRE - 8, CENTRE + 8), 1)  # 16, side by side: none overlaps another


class NoFirst(nn.Module):
    matcher = None

    def forward(self, outputs, truth):
        return {"class": outputs.scores.sum() * 0}


class Second:
    """Scores that are leaves, so that the gradient says what was learnt from each."""

    def __init__(self, classes: int, box_a_class: bool) -> None:
        self.classes, self.box_a_class = classes, box_a_class

    def __call__(self, proposals, image):
        self.proposals, self.image = proposals, image
        number = len(proposals)
        generator = torch.Generator().manual_seed(0)
        shape = (number, self.classes, 4) if self.box_a_class else (number, 4)
        self.scores = torch.randn(number, 1 + self.classes, generator=generator).requires_grad_()
        self.deltas = torch.randn(shape, generator=generator).requires_grad_()
        return self.scores, self.deltas


def run(truth: Truth, *, images: int = 2, box_a_class: bool = True, **changed):
    second = Second(3, box_a_class)
    outputs = AnchorOutputs(
        torch.arange(16.0).repeat(images, 1)[..., None],
        torch.zeros(images, 16, 4),
        ANCHORS,
        (16,),
        SIZE,
        second=second,
        proposing=Proposing(candidates=1000, nms_iou=0.7, kept=20),
    )
    keys = {
        "sample": 1000,
        "positives": 0.25,
        "box": "smooth_l1",
        "box_weight": 1.0,
        "foreground": 0.5,
    }
    loss = TwoStageLoss(None, rpn=lambda counts: NoFirst(), **(keys | changed))
    found = loss(outputs, truth)
    (found["class"] + found["box"]).backward()
    return found, second


def truth(boxes, labels, images, crowd=None) -> Truth:
    crowd = torch.tensor(crowd or [False] * len(labels), dtype=torch.bool)
    return Truth.of(
        torch.tensor(boxes).view(-1, 4),
        torch.tensor(labels).long(),
        torch.tensor(images).long(),
        crowd,
    )


ONE = partial(truth, [[2.0, 1, 15, 16]], [2], [1])  # IoU 0.76 with the first anchor


@pytest.mark.parametrize("box_a_class", [True, False])
def test_true_boxes_join_and_each_proposal_learns_its_class(box_a_class):
    found, second = run(ONE(), box_a_class=box_a_class)
    learnt = second.scores.grad.any(1)
    assert learnt.sum() == 16 + 17
    boxes, image = second.proposals[learnt], second.image[learnt]
    assert image.bincount().tolist() == [16, 17]
    # Whom the box is: itself, and the anchor that it overlaps, in its image only.
    is_box = (boxes == torch.tensor([2.0, 1, 15, 16])).all(1)
    is_anchor = (boxes == ANCHORS[0]).all(1) & (image == 1)
    assert is_box.sum() == is_anchor.sum() == 1
    target = torch.where(is_box | is_anchor, 3, 0)
    torch.testing.assert_close(found["class"], F.cross_entropy(second.scores[learnt], target))
    moved = second.deltas.grad[learnt]
    places = moved.any(-1)
    if box_a_class:
        assert not places[:, :2].any()  # the boxes of the other classes
        places = places[:, 2]
    assert torch.equal(places, is_box | is_anchor)


def test_the_box_is_compared_in_units_of_its_spread():
    """By hand: the true box itself is one of two positives of 33; its target is 0."""
    found, second = run(ONE(), box_a_class=False)
    terms = []
    spread = torch.tensor([0.1, 0.1, 0.2, 0.2])
    learnt = second.deltas.grad.any(1)
    for delta, box in zip(second.deltas[learnt], second.proposals[learnt], strict=True):
        x1, y1, x2, y2 = box.tolist()
        width, height = x2 - x1, y2 - y1
        logs = torch.tensor([13 / width, 15 / height]).log()
        shift = torch.tensor([(8.5 - (x1 + x2) / 2) / width, (8.5 - (y1 + y2) / 2) / height])
        target = torch.cat((shift, logs)) / spread
        terms.append(F.smooth_l1_loss(delta / spread, target, reduction="sum", beta=1 / 9))
    assert len(terms) == 2
    torch.testing.assert_close(found["box"], sum(terms) / 33, rtol=1e-4, atol=1e-5)


def test_an_image_is_not_matched_with_the_boxes_of_all(monkeypatch):
    """Of 6 images one has 9 boxes, three have 2, two none: 9 more each, and not 15."""
    seen = []
    matched = two_stage.match_proposals

    def counting(proposals, *others, **keys):
        seen.append(len(proposals))
        return matched(proposals, *others, **keys)

    monkeypatch.setattr(two_stage, "match_proposals", counting)
    images = [2, 5, 0, *[4] * 9, 5, 0, 2]  # in any order
    boxes = [[k, k + 1.0, k + 21, k + 31] for k in range(len(images))]
    _, second = run(truth(boxes, [k % 3 for k in range(15)], images), images=6)
    assert seen == [6 * (20 + 9)]
    for box, image in zip(boxes, images, strict=True):
        mine = (second.proposals == torch.tensor(box)).all(1) & second.scores.grad.any(1)
        assert second.image[mine].tolist() == [image]


def test_so_many_are_drawn_of_each_image():
    _, second = run(ONE(), sample=8)
    assert len(second.scores) == 16
    assert second.scores.grad.any(1).sum() == 16
    assert second.image.bincount().tolist() == [8, 8]


def test_crowds_are_neither_learnt_nor_proposed():
    crowd = truth([[0.0, 0, 64, 32]], [1], [0], crowd=[True])
    _, second = run(crowd)
    learnt = second.scores.grad.any(1)
    upper = second.proposals[learnt & (second.image == 0)][:, 3] <= 32
    assert not upper.any()
    assert learnt.sum() == 8 + 16
    assert not second.deltas.grad.any()


def test_no_boxes_at_all():
    found, second = run(truth([], [], []))
    learnt = second.scores.grad.any(1)
    assert learnt.sum() == 32
    nothing = torch.zeros(32, dtype=torch.long)
    torch.testing.assert_close(found["class"], F.cross_entropy(second.scores[learnt], nothing))
    assert found["box"] == 0

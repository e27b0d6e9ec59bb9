"""Its agreement with torchvision's is in tests/heads/test_faster_rcnn.py."""

import pytest
import torch
from torch.nn import functional as F
from torchvision.ops import box_iou

from cnnlab.boxes.matching import Truth
from cnnlab.boxes.outputs import AnchorOutputs
from cnnlab.errors import UserError
from cnnlab.losses.rpn import RPNLoss

MIDDLE = torch.arange(4.0, 64, 8)
CENTRE = torch.cartesian_prod(MIDDLE, MIDDLE)
ANCHORS = torch.cat((CENTRE - 8, CENTRE + 8), 1)
BOX = torch.tensor([[13.0, 20, 28, 36]])


def loss(**changed) -> RPNLoss:
    keys = {
        "sample": 1000,
        "positives": 0.5,
        "box": "smooth_l1",
        "box_weight": 1.0,
        "foreground": 0.7,
        "background": 0.3,
    }
    return RPNLoss(None, **(keys | changed))


def outputs(scores: int, images: int = 1) -> AnchorOutputs:
    generator = torch.Generator().manual_seed(0)
    return AnchorOutputs(
        torch.randn(images, len(ANCHORS), scores, generator=generator).requires_grad_(),
        (torch.randn(images, len(ANCHORS), 4, generator=generator) / 5).requires_grad_(),
        ANCHORS,
        (len(ANCHORS),),
        (64, 64),
        scores > 1,
    )


def truth(label: int = 2) -> Truth:
    zero = torch.zeros(1, dtype=torch.long)
    return Truth.of(BOX, torch.tensor([label]), zero, zero.bool())


def test_class_aware_is_cross_entropy_over_the_classes_and_none():
    out = outputs(5)
    overlap = box_iou(BOX, ANCHORS)[0]
    positive, between = overlap >= 0.7, (overlap < 0.7) & (overlap >= 0.3)
    assert positive.sum() == 1
    assert between.any()
    target = torch.where(positive, 3, 0)[~between]
    found = loss()(out, truth())
    torch.testing.assert_close(found["class"], F.cross_entropy(out.scores[0][~between], target))


@pytest.mark.parametrize("scores", [1, 5])
def test_so_many_are_drawn(scores):
    out = outputs(scores, images=2)
    loss(sample=16)(out, truth())["class"].backward()
    assert out.scores.grad.any(-1).sum(1).tolist() == [16, 16]


def test_evaluation_draws_the_same_each_time():
    out, of = outputs(1, images=2), loss(sample=16)
    torch.manual_seed(0)
    assert of(out, truth())["class"] != of(out, truth())["class"]
    of.eval()
    assert of(out, truth())["class"] == of(out, truth())["class"]


def test_what_is_background_is_no_foreground():
    with pytest.raises(UserError, match=r"background=0\.8: must be at most foreground=0\.7"):
        loss(background=0.8)


def test_no_boxes_at_all():
    out = outputs(1)
    empty = torch.zeros(0, dtype=torch.long)
    found = loss()(out, Truth.of(torch.zeros(0, 4), empty, empty, empty.bool()))
    torch.testing.assert_close(found["class"], F.softplus(out.scores).mean())
    assert found["box"] == 0
    sum(found.values()).backward()
    assert out.scores.grad.isfinite().all()

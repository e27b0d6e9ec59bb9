from typing import get_args

import pytest
import torch
from torchvision.ops import complete_box_iou_loss, distance_box_iou_loss, generalized_box_iou_loss

from cnnlab.boxes.geometry import decode, encode
from cnnlab.losses.box_regression import BoxLoss, box_loss

KINDS = get_args(BoxLoss)
THEIRS = {
    "giou": generalized_box_iou_loss,
    "diou": distance_box_iou_loss,
    "ciou": complete_box_iou_loss,
}


def some(seed: int, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(*shape, 2, generator=generator) * 100
    return torch.cat((corner, corner + 5 + torch.rand(*shape, 2, generator=generator) * 60), -1)


ANCHORS, BOXES = some(0, 30), some(1, 2, 30)
DELTAS = torch.randn(2, 30, 4, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("kind", list(THEIRS))
def test_overlap_losses_are_torchvisions(kind):
    ours, theirs = (DELTAS.clone().requires_grad_() for _ in range(2))
    found = box_loss(kind, ours, ANCHORS, BOXES)
    expected = THEIRS[kind](decode(theirs, ANCHORS), BOXES)
    torch.testing.assert_close(found, expected)
    found.sum().backward()
    expected.sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_l1_is_the_sum_over_the_offsets():
    expected = (DELTAS - encode(BOXES, ANCHORS)).abs().sum(-1)
    torch.testing.assert_close(box_loss("l1", DELTAS, ANCHORS, BOXES), expected)


def test_smooth_l1_is_detectrons():
    """0.5 d^2 / b below b = 1/9, d - b / 2 from there on (Detectron's smooth_l1_loss)."""
    d = (DELTAS - encode(BOXES, ANCHORS)).abs()
    expected = torch.where(d < 1 / 9, 4.5 * d**2, d - 1 / 18).sum(-1)
    torch.testing.assert_close(box_loss("smooth_l1", DELTAS, ANCHORS, BOXES), expected)
    assert (d < 1 / 9).any()


@pytest.mark.parametrize("kind", KINDS)
def test_least_where_the_box_is_met(kind):
    met = box_loss(kind, encode(BOXES, ANCHORS), ANCHORS, BOXES)
    torch.testing.assert_close(met, torch.zeros(2, 30), atol=2e-5, rtol=0)
    assert (box_loss(kind, DELTAS, ANCHORS, BOXES) > met).all()


def test_giou_of_known_boxes():
    """Two unit squares two apart: IoU 0, and a third of their hull between them."""
    anchor, box = torch.tensor([[0.0, 0, 1, 1]]), torch.tensor([[2.0, 0, 3, 1]])
    assert box_loss("giou", torch.zeros(1, 4), anchor, box).item() == pytest.approx(4 / 3, rel=1e-5)
    assert box_loss("diou", torch.zeros(1, 4), anchor, box).item() == pytest.approx(1.4, rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [5.0, 80.0, 1e4])
def test_wild_offsets_have_finite_gradients(kind, size):
    signs = torch.cartesian_prod(*[torch.tensor([-1.0, 0.0, 1.0])] * 4)
    deltas = (signs * size).requires_grad_()
    boxes = BOXES[0, :1].expand(len(deltas), 4)
    loss = box_loss(kind, deltas, ANCHORS[:1], boxes)
    loss.sum().backward()
    assert loss.isfinite().all()
    assert deltas.grad.isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_is_in_float32(kind):
    rough = DELTAS.bfloat16()
    found = box_loss(kind, rough, ANCHORS, BOXES)
    assert found.dtype == torch.float32
    assert torch.equal(found, box_loss(kind, rough.float(), ANCHORS, BOXES))


@pytest.mark.parametrize("kind", KINDS)
def test_falls_along_the_way_to_the_truth(kind):
    target = encode(BOXES, ANCHORS)
    way = [
        box_loss(kind, torch.lerp(DELTAS, target, t), ANCHORS, BOXES).mean() for t in (0, 0.5, 0.9)
    ]
    assert way[0] > way[1] > way[2]

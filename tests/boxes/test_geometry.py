import math

import pytest
import torch
from torchvision.models.detection._utils import BoxCoder
from torchvision.ops import box_iou, clip_boxes_to_image

from cnnlab.boxes.geometry import area, clipped, decode, encode, iou, overlaps

CODER = BoxCoder((1.0, 1.0, 1.0, 1.0))
LARGER = torch.tensor([0.0, 0.0, 4.0, 4.0])


def boxes(count: int, seed: int, side: float = 200.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * side
    return torch.cat((corner, corner + 0.5 + torch.rand(count, 2, generator=generator) * 80), 1)


@pytest.mark.parametrize(("first", "second"), [(30, 40), (1, 5), (0, 4), (4, 0)])
def test_iou_is_torchvisions(first, second):
    a, b = boxes(first, 0), boxes(second, 1)
    torch.testing.assert_close(iou(a, b), box_iou(a, b))


def test_overlap_of_a_known_pair():
    a, b = torch.tensor([[0.0, 0, 4, 2]]), torch.tensor([[2.0, 1, 6, 5], [4, 0, 5, 2]])
    both, share = overlaps(a, b)
    assert both.tolist() == [[2, 0]]  # 2 wide, 1 high; the second only touches
    assert share.tolist() == [[pytest.approx(2 / (8 + 16 - 2)), 0]]
    assert area(b).tolist() == [16, 2]


def test_iou_of_empty_boxes_is_0():
    empty = torch.tensor([[3.0, 3, 3, 3]])
    assert iou(empty, empty).item() == 0  # torchvision: 0 / 0
    assert iou(empty, torch.tensor([[0.0, 0, 9, 9]])).item() == 0


def test_offsets_are_torchvisions():
    anchors, truth = boxes(50, 2) + LARGER, boxes(50, 3)  # within the limit of growth
    deltas = encode(truth, anchors)
    torch.testing.assert_close(deltas, CODER.encode_single(truth, anchors))
    torch.testing.assert_close(decode(deltas, anchors), CODER.decode_single(deltas, anchors))
    torch.testing.assert_close(decode(deltas, anchors), truth)


def test_offsets_of_a_known_box():
    """A box twice as wide, half an anchor to the right: centre (8, 2) against (6, 2)."""
    anchor, box = torch.tensor([4.0, 0, 8, 4]), torch.tensor([4.0, 0, 12, 4])
    assert encode(box, anchor).tolist() == pytest.approx([0.5, 0, math.log(2), 0])


def test_offsets_broadcast_over_images():
    anchors, truth = boxes(7, 4), torch.stack((boxes(7, 5), boxes(7, 6)))
    each = torch.stack([encode(one, anchors) for one in truth])
    assert torch.equal(encode(truth, anchors), each)
    assert torch.equal(decode(each, anchors), torch.stack([decode(d, anchors) for d in each]))


def test_wild_offsets_stay_finite():
    anchors = boxes(3, 7)
    wild = torch.tensor([[0.0, 0, 1e4, 1e4], [0, 0, -1e4, -1e4], [1e4, -1e4, 50, -50]])
    wild.requires_grad_()
    found = decode(wild, anchors)
    found.sum().backward()
    assert found.isfinite().all()
    assert wild.grad.isfinite().all()
    torch.testing.assert_close(found, CODER.decode_single(wild.detach(), anchors))


def test_decoding_is_in_float32():
    anchors = boxes(4, 8)
    deltas = torch.randn(4, 4).bfloat16()
    assert torch.equal(decode(deltas, anchors), decode(deltas.float(), anchors))


def test_clipping_is_torchvisions():
    some = boxes(40, 9) - 40
    torch.testing.assert_close(clipped(some, 120, 90), clip_boxes_to_image(some, (120, 90)))
    high = torch.tensor([120.0, 60.0]).repeat(20)
    each = [clip_boxes_to_image(box[None], (int(h), 90)) for box, h in zip(some, high, strict=True)]
    torch.testing.assert_close(clipped(some, high, 90), torch.cat(each))

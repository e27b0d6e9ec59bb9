"""Proposals of one image are held against torchvision's in tests/heads/test_faster_rcnn.py."""

import torch

from cnnlab.boxes.outputs import AnchorOutputs, Proposing
from cnnlab.boxes.proposals import propose


def outputs(scores, anchors, levels, *, kept, nms_iou=0.7, candidates=1000, background=False):
    batch = scores.shape[0]
    return AnchorOutputs(
        scores,
        torch.zeros(batch, len(anchors), 4),
        anchors,
        levels,
        (40, 60),
        background,
        proposing=Proposing(candidates=candidates, nms_iou=nms_iou, kept=kept),
    )


ANCHORS = torch.tensor(
    [
        [0.0, 0, 10, 10],
        [1.0, 0, 11, 10],  # IoU 0.82 with the first
        [30.0, 20, 90, 30],  # beyond the right border
        [60.0, 5, 80, 15],  # outside
        [0.0, 0, 10, 10],  # as the first, of another level
    ]
)


def test_each_image_gets_its_own_best():
    scores = torch.tensor([[3.0, 2, 1, 5, 0], [-1.0, 4, 5, 6, 7]])[..., None]
    found = propose(outputs(scores, ANCHORS, (4, 1), kept=3))
    cut = [30.0, 20, 60, 30]
    first, second = ANCHORS[0].tolist(), ANCHORS[1].tolist()
    # The double falls to NMS within its level only; what lies outside has no side left.
    assert found.xyxy.tolist() == [[first, cut, first], [first, cut, second]]
    assert found.valid.all()


def test_images_with_fewer_are_filled_with_the_whole():
    scores = torch.tensor([[3.0, 2, 1, 5, 0], [-1.0, 4, 5, 6, 7]])[..., None]
    found = propose(outputs(scores, ANCHORS, (4, 1), kept=4, nms_iou=0.2))
    assert found.valid.tolist() == [[True, True, True, False]] * 2
    assert found.xyxy[:, 3].tolist() == [[0.0, 0, 60, 40]] * 2


def test_candidates_are_counted_by_level():
    scores = torch.tensor([[3.0, 2, 1, 5, 0]])[..., None]
    found = propose(outputs(scores, ANCHORS, (4, 1), kept=4, candidates=2))
    # Of the first level the one outside and the first box.
    assert found.xyxy[found.valid].tolist() == [ANCHORS[0].tolist(), ANCHORS[4].tolist()]


def test_nothing_at_all():
    anchors = ANCHORS[3:4]
    found = propose(outputs(torch.zeros(2, 1, 1), anchors, (1,), kept=5))
    assert found.xyxy.shape == (2, 5, 4)
    assert not found.valid.any()


def test_a_class_aware_stage_proposes_what_is_not_background():
    # none, a, b: an anchor that is surely something wins over one that is more surely 'a'.
    scores = torch.tensor([[[0.0, 2, 2], [0.0, 2.2, -5], [-9.0, 0, 0]]])
    anchors = torch.tensor([[0.0, 0, 10, 10], [20.0, 0, 30, 10], [40.0, 0, 50, 10]])
    found = propose(outputs(scores, anchors, (3,), kept=3, background=True))
    assert found.xyxy[0].tolist() == anchors[[2, 0, 1]].tolist()


def test_no_gradient():
    scores = torch.zeros(1, 5, 1, requires_grad=True)
    assert not propose(outputs(scores, ANCHORS, (4, 1), kept=3)).xyxy.requires_grad

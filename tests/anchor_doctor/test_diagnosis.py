import pytest
import torch

from cnnlab.anchor_doctor.diagnosis import diagnose, recall, words
from cnnlab.boxes.coverage import levels_of
from cnnlab.boxes.geometry import iou
from cnnlab.config import check, compose
from cnnlab.errors import UserError
from cnnlab.heads.anchors import Anchors
from cnnlab.tasks.build import instantiate
from tests.anchor_doctor.sets import STRIDES, BoxData, batch_of


def test_fitted_anchors_raise_the_recall_of_flat_boxes(task, flat_boxes):
    found = diagnose(flat_boxes(100), task, 0)
    assert len(found.train.xyxy) == 200
    assert recall(found.now.train) < 0.1  # an anchor of 2:1 overlaps one of 6:1 by 0.41 at most
    assert recall(found.fitted.train) > 0.95
    assert recall(found.fitted.val) > 0.9
    assert found.is_worth_it
    # Counted again with the anchors of a head that is given these sizes.
    sizes = [[(w, h) for w, h in level.tolist()] for level in found.shapes]
    anchors = Anchors(side=4.0, scales=(1.0,), ratios=(1.0,), offset=0.5, sizes=sizes)
    maps = [(256 // stride, 256 // stride) for stride in STRIDES]
    grid = anchors.grid(maps, (256, 256), anchors.shapes(STRIDES))
    best = iou(found.val.xyxy, grid).amax(1)
    assert recall(found.fitted.val) == pytest.approx(float((best >= 0.5).float().mean()))


def test_anchors_that_fit_are_kept(task):
    levels = levels_of(task.net(torch.zeros(1, 3, 256, 256)))
    boxes = [
        [[124 - w / 2, 124 - h / 2, 124 + w / 2, 124 + h / 2]] for w, h in levels[0].shapes.tolist()
    ]
    batch = batch_of(boxes, 0, (256, 256))
    found = diagnose(BoxData([batch], [batch]), task, 0)
    assert recall(found.now.train) == 1
    assert not found.is_worth_it


def test_images_of_several_sizes_have_their_own_grids(task):
    # The same place is the centre of a cell in one image, and not in the other.
    box = [[52.0, 52.0, 84.0, 84.0]]
    batches = [batch_of([box], 0, (128, 128)), batch_of([box], 1, (128, 132))]
    found = diagnose(BoxData(batches, batches[:1]), task, 0)
    assert found.now.train.iou[0] == 1
    assert found.now.train.iou[1] < 0.99


def test_without_a_box_it_stops_in_one_line(task):
    empty = [batch_of([[], []], 0, (64, 64))]
    with pytest.raises(UserError, match="no box in 2 training images"):
        diagnose(BoxData(empty, empty), task, 0)


def test_val_may_have_no_box(task, flat_boxes):
    data = BoxData(flat_boxes(20).train, [batch_of([[]], 0, (64, 64))])
    assert diagnose(data, task, 0).is_worth_it


def test_the_words_make_these_anchors(task, flat_boxes):
    found = diagnose(flat_boxes(30), task, 0)
    word = words(found.shapes)
    assert " " not in word
    composed = compose(["data=digit_scenes", "task=detection", word])
    check(composed)
    anchors = instantiate(composed.cfg.head.anchors)
    for given, fitted in zip(anchors.shapes(STRIDES), found.shapes, strict=True):
        assert torch.equal(given, fitted)


@pytest.mark.parametrize("sizes", ["[[[1,2,3]]]", "[[5]]", "[[[a,b]]]"])
def test_other_words_are_refused(sizes):
    with pytest.raises(UserError, match=r"head\.anchors\.sizes"):
        check(compose(["data=digit_scenes", "task=detection", f"head.anchors.sizes={sizes}"]))

import pytest
import torch

from cnnlab.anchor_doctor import matched
from cnnlab.anchor_doctor.grids import Grids
from cnnlab.anchor_doctor.seen import look
from cnnlab.boxes.geometry import iou
from tests.anchor_doctor.sets import MATCHER, AnchorNet, batch_of

# The anchor of 32 x 32 about (68, 68), and one that no anchor comes near.
EXACT, TINY = [52.0, 52.0, 84.0, 84.0], [100.0, 100.0, 103.0, 103.0]


def test_which_boxes_have_positives_and_why():
    seen = look([batch_of([[EXACT], [], [TINY]], 0, (128, 128)), batch_of([[EXACT]], 3, (96, 192))])
    grids = Grids(AnchorNet(), 3)
    found = matched.match(seen, grids.cover(seen), grids, MATCHER)
    assert found.reached.tolist() == [True, False, True]
    assert found.forced.tolist() == [False, True, False]
    enough = [
        int((iou(torch.tensor([EXACT]), grids.anchors(size)) >= 0.5).sum())
        for size in ((128, 128), (96, 192))
    ]
    assert found.positives[[0, 3]].tolist() == enough
    assert found.positives[1] == 0
    assert found.positives[2] >= 1


def test_a_sample_of_the_images(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(matched, "MOST_MATCHED", 2)
    seen = look([batch_of([[EXACT], [TINY, EXACT], [EXACT]], 0, (128, 128))])
    grids = Grids(AnchorNet(), 3)
    found = matched.match(seen, grids.cover(seen), grids, MATCHER)
    assert (len(found.positives), len(found.reached), len(found.forced)) == (2, 3, 3)

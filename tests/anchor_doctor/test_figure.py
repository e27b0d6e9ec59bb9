from pathlib import Path

import pytest

from cnnlab.anchor_doctor.diagnosis import diagnose, recall
from cnnlab.anchor_doctor.figure import draw, refuse
from cnnlab.errors import UserError


def test_the_panels_show_boxes_anchors_and_recall(task, flat_boxes):
    found = diagnose(flat_boxes(40), task, 0)
    figure = draw(found)
    now, fitted, by_side = figure.axes
    assert f"{recall(found.now.train):.1%}" in now.get_title()
    assert f"{recall(found.fitted.train):.1%}" in fitted.get_title()
    assert now.get_xlim() == fitted.get_xlim() == now.get_ylim()
    points = {c.get_label(): len(c.get_offsets()) for c in now.collections}
    assert points["box, recalled"] + points["box, missed"] == 80
    assert points["box, recalled"] == round(80 * recall(found.now.train))
    assert points["anchor, stride 16"] == 6
    bars = [bar.get_height() for bar in by_side.patches]
    assert sum(bars) == pytest.approx(1)
    assert len(by_side.lines) == 2


@pytest.mark.parametrize("name", ["anchors.txt", "anchors", "nowhere/anchors.png"])
def test_files_that_cannot_be_written(tmp_path: Path, name: str):
    with pytest.raises(UserError, match="--figure"):
        refuse(tmp_path / name)

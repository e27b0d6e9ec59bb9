import pytest
import torch

from cnnlab.data.box_rows import BoxRows
from cnnlab.errors import UserError

NAN = float("nan")


@pytest.fixture
def rows() -> BoxRows:
    """Two images with boxes, given out of order, and one without between them."""
    rows = BoxRows(lambda image, mark: f"{image}#{mark}", relative=False)
    for name, height, width in (("a", 50, 100), ("b", 50, 100), ("c", 200, 200)):
        rows.add_image(name, height, width)
    rows.add_box(2, (10, 20, 50, 80), 7, 1, area=99.0)
    rows.add_box(0, (0, 0, 10, 10), 3, 2)
    rows.add_box(2, (-10, 0, 10, 30), 3, 3, area=600.0)
    rows.add_box(0, (5, 5, 5, 9), 3, 4)
    rows.add_box(2, (-10, 100, 10, 130), 7, 5, crowd=True)
    rows.add_box(2, (1, 2, 3, NAN), 9, 6)
    return rows


def test_image_after_image(rows: BoxRows) -> None:
    table, faults = rows.table({3: 1, 7: 0}, "clip")
    assert list(table.names) == ["a", "b", "c"]
    assert table.sizes.tolist() == [[50, 100], [50, 100], [200, 200]]
    assert table.first.tolist() == [0, 1, 1, 4]
    assert table.xyxy.tolist() == [
        [0, 0, 10, 10],
        [10, 20, 50, 80],
        [0, 0, 10, 30],
        [0, 100, 10, 130],
    ]
    assert table.label.tolist() == [1, 0, 1, 0]
    assert table.crowd.tolist() == [False, False, False, True]
    # As annotated, else of what is left of the box.
    assert table.area.tolist() == [100, 99, 600, 300]
    assert table.clipped.tolist() == [False, False, True, True]
    assert table.dropped.tolist() == [1, 0, 0]
    assert faults == [
        "a#4 has no area; dropped",
        "c#3 reaches beyond the image; clipped",
        "c#5 reaches beyond the image; clipped",
    ]
    assert [part.dtype for part in (table.xyxy, table.area)] == [torch.float32] * 2
    assert [part.dtype for part in (table.label, table.first)] == [torch.int64] * 2


def test_drop_leaves_out_what_clip_cuts(rows: BoxRows) -> None:
    table, faults = rows.table({3: 1, 7: 0, 9: 2}, "drop")
    assert table.xyxy.tolist() == [[0, 0, 10, 10], [10, 20, 50, 80]]
    assert not table.clipped.any()
    assert table.dropped.tolist() == [1, 0, 3]
    assert faults[-1] == "c#6 is not finite; dropped"


def test_error_names_the_first_and_counts(rows: BoxRows) -> None:
    with pytest.raises(UserError) as caught:
        rows.table({3: 1, 7: 0, 9: 2}, "error")
    assert str(caught.value) == (
        "a#4 has no area (4 such boxes in all); mend it, or choose "
        "data.bad_boxes=clip or drop, which count them"
    )


def test_boxes_of_classes_that_are_left_out_are_not_judged(rows: BoxRows) -> None:
    with pytest.raises(UserError):
        rows.table({9: 0}, "error")
    quiet = BoxRows(lambda image, mark: "", relative=True)
    quiet.add_image("a", 0, 0)
    quiet.add_box(0, (0.1, 0.1, 0.4, 0.3), 0, 1)
    quiet.add_box(0, (0.5, 0.5, 0.4, 0.3), 1, 2)
    table, faults = quiet.table({0: 0}, "error")
    assert (len(table.label), faults, table.dropped.tolist()) == (1, [], [0])
    assert quiet.counts() == {0: 1, 1: 1}


def test_relative_boxes_end_at_1(rows: BoxRows) -> None:
    rows = BoxRows(lambda image, mark: "", relative=True)
    rows.add_image("a", 0, 0)
    rows.add_box(0, (0.5, 0.5, 1.2, 0.75), 0, 1)
    table, _ = rows.table({0: 0}, "clip")
    assert table.xyxy.tolist() == [[0.5, 0.5, 1.0, 0.75]]
    assert table.area.tolist() == [0.125]
    assert table.relative


def test_no_box_at_all() -> None:
    rows = BoxRows(lambda image, mark: "", relative=False)
    rows.add_image("a", 5, 5)
    table, faults = rows.table({0: 0}, "error")
    assert (table.first.tolist(), table.xyxy.shape, faults) == ([0, 0], (0, 4), [])

from dataclasses import replace

import torch

from cnnlab.anchor_doctor.diagnosis import diagnose
from cnnlab.anchor_doctor.report import by_side, lines
from cnnlab.data.names import Names
from tests.anchor_doctor.sets import AnchorNet, BoxData, batch_of


def row(report: list[str], name: str) -> list[str]:
    (line,) = [line for line in report if line.startswith(name)]
    return line.removeprefix(name).split()


def test_the_table_of_boxes_that_are_counted_by_hand(task):
    images = [
        [[52.0, 52.0, 84.0, 84.0], [52.0, 52.0, 84.0, 84.0]],  # 32 x 32, an anchor of stride 8
        [[40.0, 40.0, 44.0, 44.0]],  # 16 / 1024 of an anchor
        [[8.0, 72.0, 136.0, 136.0]],  # 128 x 64: between 91 x 45 and 136 x 68
        [],
    ]
    batch = batch_of(images, 20, (256, 256))
    found = diagnose(BoxData([batch], [batch]), task, 0)
    report = list(lines(found))
    assert len(report) < 25
    assert report[0].startswith("4 boxes of 4 training images")
    assert row(report, "all")[:3] == ["4", "100.0%", "75.0%"]
    assert row(report, "stride 8, anchors 32-48 px") == ["3", "75.0%", "66.7%", "0.67"]
    assert row(report, "stride 32, anchors 128-192 px") == ["0", "0.0%", "-", "-"]
    assert row(report, "box side under 16 px") == ["1", "25.0%", "0.0%", "0.02"]
    assert row(report, "ratio h/w 1 ") == ["2", "50.0%", "100.0%", "1.00"]
    assert (
        "1 boxes are too small for any anchor (side under 22.6 px), such as 4 x 4 in training "
        "image 21" in report
    )
    named = list(lines(found, Names.of(f"{i}.jpg" for i in range(30))))
    assert any(line.endswith("such as 4 x 4 in 21.jpg") for line in named)
    positives = next(line for line in report if line.startswith("positives"))
    assert "none in 25.0% of 4" in positives
    assert "by IoU 0.5" in positives


def test_many_ratios_are_told_by_powers_of_2(task):
    boxes = [[[0.0, 0.0, 100.0, 100.0 * ratio]] for ratio in (0.3, 0.5, 0.6, 1.0, 1.1, 2.2)]
    batch = batch_of(boxes, 0, (256, 256))
    found = diagnose(BoxData([batch], [batch]), task, 0)
    draw = torch.Generator().manual_seed(0)
    levels = [
        level._replace(shapes=level.shapes * (1 + torch.rand(level.shapes.shape, generator=draw)))
        for level in found.levels
    ]
    report = list(lines(replace(found, levels=levels)))
    named = [line.split()[3] for line in report if line.startswith("ratio h/w about")]
    assert 1 < len(named) <= 6
    assert all(float(ratio).hex().split("p")[0] == "0x1.0000000000000" for ratio in named)


def test_images_without_boxes_have_no_share_of_nothing(task):
    """The boxes lie in images after those that are matched."""
    batch = batch_of([[], [], [[8.0, 8.0, 40.0, 40.0]]], 0, (64, 64))
    found = diagnose(BoxData([batch], [batch]), task, 0)
    none = found.matched._replace(
        positives=torch.zeros(2, dtype=torch.int64),
        reached=torch.zeros(0, dtype=torch.bool),
        forced=torch.zeros(0, dtype=torch.bool),
    )
    report = list(lines(replace(found, matched=none)))
    assert "positives: no box in the 2 images that were matched" in report
    assert not any("nan" in line for line in report)


def test_boxes_too_large_are_named(task):
    batch = batch_of([[[0.0, 0.0, 600.0, 500.0]]], 0, (640, 640))
    report = list(lines(diagnose(BoxData([batch], [batch]), task, 0)))
    (line,) = [line for line in report if "too large" in line]
    assert "side above 271.5 px" in line  # 192 sqrt(2)
    assert "600 x 500" in line


def test_a_loss_that_does_not_say_how_it_matches(task, flat_boxes):
    del task.loss.matcher
    report = list(lines(diagnose(flat_boxes(10), task, 0)))
    assert any(line.startswith("positives an image: not known") for line in report)
    assert report[-1].startswith("to take the fitted: 'head.anchors.sizes=[[[")


def test_ranges_of_the_side():
    sides = torch.tensor([0.5, 15.9, 16.0, 100.0, 128.0, 1000.0])
    boxes = torch.stack((sides * 0, sides * 0, sides, sides), 1)
    assert [(name, which.sum().item()) for name, which in by_side(boxes)] == [
        ("box side under 16 px", 2),
        ("box side 16 to 32 px", 1),
        ("box side 64 to 128 px", 1),
        ("box side 128 and more px", 2),
    ]


def test_one_shape_a_cell_needs_no_line_of_its_own(task, flat_boxes):
    task.net.anchors = replace(AnchorNet.anchors, scales=(1.0,), ratios=(1.0,))
    report = list(lines(diagnose(flat_boxes(10), task, 0)))
    assert not any(line.startswith(("scale", "ratio")) for line in report)
    assert row(report, "stride 16, anchors 64 px")

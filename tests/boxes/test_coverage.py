"""The best anchor of each box, against a table of all pairs and by hand."""

import pytest
import torch

from cnnlab.boxes.coverage import Level, coverage, levels_of
from cnnlab.boxes.geometry import iou
from cnnlab.boxes.outputs import AnchorOutputs
from cnnlab.heads.anchors import Anchors

MAPS, SIZE, STRIDES = [(13, 20), (7, 10), (1, 1)], (100, 157), [8, 16, 128]


def over(offset: float = 0.5) -> AnchorOutputs:
    """Anchors on maps whose cells are no whole pixels, the last a single cell."""
    anchors = Anchors(
        side=2.0, scales=(1.0, 1.5), ratios=(0.5, 1.0, 3.0), offset=offset, sizes=None
    )
    grid = anchors.grid(MAPS, SIZE, anchors.shapes(STRIDES))
    counts = tuple(h * w * anchors.per_cell for h, w in MAPS)
    none = torch.zeros(1, len(grid), 4)
    return AnchorOutputs(none, none, grid, counts, SIZE)


def random_boxes(count: int) -> torch.Tensor:
    """In and partly outside of the image."""
    generator = torch.Generator().manual_seed(3)
    corner = torch.rand(count, 2, generator=generator) * torch.tensor([160.0, 100.0]) - 5
    side = 2 + 60 * torch.rand(count, 2, generator=generator) ** 2
    return torch.cat((corner, corner + side), 1)


def test_the_grids_are_read_off_the_anchors():
    outputs = over()
    levels = levels_of(outputs)
    assert [level.cells for level in levels] == [(20, 13), (10, 7), (1, 1)]
    assert levels[0].step == pytest.approx((157 / 20, 100 / 13), abs=1e-4)
    assert levels[0].first == pytest.approx((157 / 40, 100 / 26), abs=1e-4)
    assert levels[2].step == (157.0, 100.0)
    torch.testing.assert_close(levels[1].shapes[0], torch.tensor([32 * 2**0.5, 32 / 2**0.5]))


@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_the_best_anchor_is_that_of_all_pairs(offset):
    outputs, boxes = over(offset), random_boxes(500)
    found = coverage(boxes, levels_of(outputs))
    table = iou(boxes, outputs.anchors)
    torch.testing.assert_close(found.iou, table.amax(1), rtol=1e-4, atol=1e-5)
    level_of = torch.arange(3).repeat_interleave(torch.tensor(outputs.levels))
    best = table.argmax(1)
    clear = table.topk(2, 1).values.diff().neg()[:, 0] > 1e-3
    assert clear.sum() > 200
    assert torch.equal(found.level[clear], level_of[best][clear])
    assert torch.equal(found.shape[clear], (best % 6)[clear])


def test_by_hand():
    level = Level(torch.tensor([[8.0, 8.0], [16.0, 4.0]]), (4.0, 4.0), (8.0, 8.0), (4, 4))
    boxes = torch.tensor(
        [
            [8.0, 8.0, 16.0, 16.0],  # an anchor
            [12.0, 8.0, 20.0, 16.0],  # half a step beside: 32 / 96
            [4.0, 10.0, 20.0, 14.0],  # the flat anchor
            [28.0, 0.0, 36.0, 8.0],  # beyond the last column: 32 / 96
        ]
    )
    found = coverage(boxes, [level])
    torch.testing.assert_close(found.iou, torch.tensor([1.0, 1 / 3, 1.0, 1 / 3]))
    assert found.shape.tolist() == [0, 0, 1, 0]


def test_no_boxes():
    found = coverage(torch.zeros(0, 4), levels_of(over()))
    assert [part.shape for part in found] == [(0,)] * 3
    assert found.level.dtype == torch.int64

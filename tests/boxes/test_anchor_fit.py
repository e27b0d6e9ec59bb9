"""k-means by shape, and which level a box belongs to."""

import pytest
import torch

from cnnlab.boxes.anchor_fit import ROOM, deal, fit_anchors, kmeans, shape_iou
from cnnlab.boxes.coverage import Level, coverage

PLANTED = torch.tensor([[10.0, 12.0], [20.0, 20.0], [24.0, 90.0], [150.0, 60.0]])


def around(shapes: torch.Tensor, each: int) -> torch.Tensor:
    """Boxes' sides, up to 5 % off."""
    noise = torch.rand(len(shapes) * each, 2, generator=torch.Generator().manual_seed(1))
    return shapes.repeat_interleave(each, 0) * (0.95 + 0.1 * noise)


def level(step: float, shapes: list[list[float]], cells: int = 16) -> Level:
    return Level(torch.tensor(shapes), (step / 2, step / 2), (step, step), (cells, cells))


def test_shape_iou_by_hand():
    table = shape_iou(
        torch.tensor([[4.0, 4.0]]), torch.tensor([[4.0, 4.0], [2.0, 8.0], [8.0, 8.0]])
    )
    torch.testing.assert_close(table, torch.tensor([[1.0, 8 / 24, 16 / 64]]))


@pytest.mark.parametrize("seed", range(5))
def test_kmeans_finds_planted_clusters_the_smallest_first(seed):
    found = kmeans(around(PLANTED, 50), 4, seed)
    torch.testing.assert_close(found, PLANTED, rtol=0.03, atol=0)


def test_kmeans_gives_the_means_of_its_clusters_and_the_same_again():
    sides = 5 + 100 * torch.rand(400, 2, generator=torch.Generator().manual_seed(0))
    found = kmeans(sides, 7, 0)
    assert torch.equal(found, kmeans(sides, 7, 0))
    own = shape_iou(sides, found).argmax(1)
    for number in range(7):
        torch.testing.assert_close(sides[own == number].mean(0), found[number])


def test_kmeans_of_equal_boxes():
    found = kmeans(torch.tensor([[8.0, 9.0]]).repeat(5, 1), 3, 0)
    torch.testing.assert_close(found, torch.tensor([[8.0, 9.0]]).repeat(3, 1))


def test_a_box_goes_to_the_coarsest_level_that_always_meets_it():
    levels = [level(8, [[32.0, 32.0]]), level(16, [[64.0, 64.0]]), level(32, [[128.0, 128.0]])]
    # Squares: 8 / (2 (1 - sqrt(0.75))) = 29.9 pixels for stride 8, twice that for 16.
    squares = torch.tensor([4.0, 29.0, 59.0, 60.5, 119.0, 121.0, 500.0])
    dealt = deal(squares[:, None].repeat(1, 2), levels)
    assert dealt.tolist() == [0, 0, 0, 1, 1, 2, 2]
    # Of a flat box the short side decides: 20 pixels high is too little for stride 16.
    assert deal(torch.tensor([[500.0, 20.0], [500.0, 50.0]]), levels).tolist() == [0, 1]


@pytest.mark.parametrize("side", [(70.0, 62.0), (300.0, 50.0)])
def test_such_a_box_is_met_wherever_it_lies(side):
    levels = [level(8, [list(side)], 64), level(16, [list(side)], 32)]
    sides = torch.tensor([side])
    (own,) = deal(sides, levels).tolist()
    assert own == 1
    corner = 100 + torch.cartesian_prod(torch.arange(16.0), torch.arange(16.0))
    boxes = torch.cat((corner, corner + sides), 1)
    assert coverage(boxes, [levels[own]]).iou.min() >= ROOM


def test_levels_with_few_boxes_keep_their_shapes():
    sides = around(PLANTED[:2], 10)
    old = [torch.ones(2, 2) * 32, torch.ones(2, 2) * 128.4]
    fitted = fit_anchors(sides, torch.zeros(20, dtype=torch.int64), old, 0)
    torch.testing.assert_close(fitted[0], PLANTED[:2], rtol=0.03, atol=0)
    assert torch.equal(fitted[1], torch.ones(2, 2) * 128)

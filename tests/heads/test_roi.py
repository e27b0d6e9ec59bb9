import pytest
import torch
from torch.nn import functional as F
from torchvision.ops import roi_align
from torchvision.ops.poolers import LevelMapper

from cnnlab.heads.roi import align, lay_out, vote

SIZE = (512, 640)


@pytest.fixture
def maps() -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(2, 3, SIZE[0] // s, SIZE[1] // s) for s in (8, 16, 32)]


def some_boxes(number: int = 400) -> tuple[torch.Tensor, torch.Tensor]:
    """From one pixel to the whole image, anywhere in it."""
    generator = torch.Generator().manual_seed(0)
    limit = torch.tensor([640.0, 512.0])
    side = limit ** torch.rand(number, 1, generator=generator).sqrt()
    left_top = (limit - side) * torch.rand(number, 2, generator=generator)
    boxes = torch.cat((left_top, left_top + side), 1)
    return boxes, torch.randint(2, (number,), generator=generator)


def test_one_canvas_reads_what_a_call_a_level_reads(maps):
    boxes, image = some_boxes()
    level = LevelMapper(3, 5)([boxes])  # torchvision's eq. 1 of Lin et al. 2017
    assert level.bincount(minlength=3).min() > 10
    found = align(lay_out(maps, SIZE), boxes, image, 7)
    rois = torch.cat((image[:, None].float(), boxes), 1)
    for i, (x, stride) in enumerate(zip(maps, (8, 16, 32), strict=True)):
        own = level == i
        expected = roi_align(x, rois[own], 7, 1 / stride, 2, aligned=True)
        torch.testing.assert_close(found[own], expected, atol=1e-4, rtol=1e-4)


def test_gradients_reach_only_the_map_that_was_read(maps):
    for x in maps:
        x.requires_grad_()
    small, large = [4.0, 4, 30, 30], [0.0, 0, 640, 512]
    boxes, image = torch.tensor([small, large]), torch.tensor([0, 1])
    align(lay_out(maps, SIZE), boxes, image, 7).sum().backward()
    read = [[bool(x.grad[i].any()) for x in maps] for i in (0, 1)]
    assert read == [[True, False, False], [False, False, True]]
    torch.testing.assert_close(maps[2].grad[0], torch.zeros_like(maps[2].grad[0]))


def test_a_ramp_is_read_in_pixels_whatever_the_size_of_the_map():
    """Cells hold the x of their middle: bins read the x of theirs, in odd sizes, too."""
    height, width = 100, 90
    columns = (torch.arange(13) + 0.5) * (width / 13)
    x = columns.expand(1, 1, 15, 13)
    box = torch.tensor([[20.0, 30, 70, 80]])
    found = align(lay_out([x], (height, width)), box, torch.tensor([0]), 5)
    torch.testing.assert_close(found[0, 0], torch.tensor([25.0, 35, 45, 55, 65]).expand(5, 5))


def test_no_boxes(maps):
    none, image = torch.zeros(0, 4), torch.zeros(0, dtype=torch.long)
    assert align(lay_out(maps, SIZE), none, image, 7).shape == (0, 3, 7, 7)
    assert vote(torch.rand(1, 8, 4, 4), none, image, 2, (32, 32)).shape == (0, 2)


def test_each_part_votes_with_its_own_map():
    """One value, 2 x 2 parts, a map of 4 x 4 cells of 8 pixels, a box over all of it."""
    maps = torch.arange(64.0).view(1, 4, 4, 4)
    quarters = [
        maps[0, 0, :2, :2],  # top left reads the first map, and so on row by row
        maps[0, 1, :2, 2:],
        maps[0, 2, 2:, :2],
        maps[0, 3, 2:, 2:],  # the last row and column, too, which torchvision's operator leaves out
    ]
    expected = torch.stack([q.mean() for q in quarters]).mean()
    found = vote(maps, torch.tensor([[0.0, 0, 32, 32]]), torch.tensor([0]), 2, (32, 32))
    torch.testing.assert_close(found, expected.view(1, 1))


def test_values_and_images_are_kept_apart():
    maps = F.one_hot(torch.arange(8)).float()  # (8, 8): image, channel
    maps = maps[:, :, None, None].expand(-1, -1, 4, 4)
    boxes = torch.tensor([[0.0, 0, 16, 16]]).repeat(8, 1)
    found = vote(maps, boxes, torch.arange(8), 2, (32, 32))
    # Channels 0 to 3 are the four parts of the first value: each is a quarter of its mean.
    expected = torch.zeros(8, 2)
    expected[:4, 0] = expected[4:, 1] = 0.25
    torch.testing.assert_close(found, expected)

import math

import pytest
import torch
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList

from cnnlab.errors import UserError
from cnnlab.heads.anchors import Anchors

SCALES = (1.0, 2 ** (1 / 3), 2 ** (2 / 3))
RATIOS = (0.5, 1.0, 2.0)


def anchors(**words) -> Anchors:
    usual = {"side": 4.0, "scales": SCALES, "ratios": RATIOS, "offset": 0.5, "sizes": None}
    return Anchors(**usual | words)


def laid(anchors: Anchors, maps, size, strides) -> torch.Tensor:
    return anchors.grid(maps, size, anchors.shapes(strides))


def torchvisions(maps, size, strides) -> tuple[AnchorGenerator, torch.Tensor]:
    generator = AnchorGenerator(
        tuple(tuple(4 * s * scale for scale in SCALES) for s in strides), (RATIOS,) * len(strides)
    )
    images = ImageList(torch.zeros(1, 3, *size), [size])
    features = [torch.zeros(1, 1, *shape) for shape in maps]
    return generator, generator(images, features)[0]


@pytest.mark.parametrize("size", [(64, 64), (64, 160)])
def test_torchvisions_rounded_sizes(size):
    """Its corners are rounded around 0, and stand at the corners of their cells."""
    strides = [8, 16, 32]
    maps = [(size[0] // s, size[1] // s) for s in strides]
    generator, expected = torchvisions(maps, size, strides)
    sizes = [(c[:, 2:] - c[:, :2]).tolist() for c in generator.cell_anchors]
    found = laid(anchors(offset=0.0, sizes=sizes), maps, size, strides)
    torch.testing.assert_close(found, expected)


def test_without_rounding_sizes_are_torchvisions_to_a_pixel():
    strides, size = [8, 16], (64, 96)
    maps = [(8, 12), (4, 6)]
    _, expected = torchvisions(maps, size, strides)
    found = laid(anchors(offset=0.0), maps, size, strides)
    assert (found - expected).abs().max() <= 0.5 + 1e-4
    middle = laid(anchors(), maps, size, strides)
    shift = torch.tensor([4.0] * (8 * 12 * 9) + [8.0] * (4 * 6 * 9))
    torch.testing.assert_close(middle, found + shift[:, None])


def test_shapes_have_the_papers_areas_and_ratios():
    """RetinaNet, section 4: 32^2 to 512^2 on strides 8 to 128, times 2^(0, 1/3, 2/3) in side."""
    for shape, side in zip(
        anchors().shapes([8, 16, 32, 64, 128]), (32, 64, 128, 256, 512), strict=True
    ):
        width, height = shape.unbind(1)
        area = [(side * 2 ** (i % 3 / 3)) ** 2 for i in range(9)]
        torch.testing.assert_close(width * height, torch.tensor(area))
        torch.testing.assert_close(height / width, torch.tensor([0.5] * 3 + [1.0] * 3 + [2.0] * 3))


@pytest.mark.parametrize("side", [63, 64, 224, 227])
def test_a_map_of_any_size_is_covered_whole(side):
    """AlexNet's maps have 15, 7, 7, 3 cells at 64 px: their strides do not divide it."""
    for count in (1, 3, 7, 15):
        one = anchors(scales=(1.0,), ratios=(1.0,))
        found = laid(one, [(count, count + 1)], (side, side), [side / count])
        centre = ((found[:, :2] + found[:, 2:]) / 2).view(count, count + 1, 2)
        x, y = centre[0, :, 0], centre[:, 0, 1]
        for line, cells in ((x, count + 1), (y, count)):
            cell = side / cells
            torch.testing.assert_close(line, (torch.arange(cells) + 0.5) * cell)
            assert line[0] - cell / 2 == pytest.approx(0, abs=1e-4)
            assert line[-1] + cell / 2 == pytest.approx(side, rel=1e-6)


def test_order_is_level_row_column_shape():
    found = laid(anchors(scales=(1.0,), ratios=(1.0, 4.0)), [(2, 3), (1, 1)], (16, 24), [8, 16])
    centre = (found[:, :2] + found[:, 2:]) / 2
    assert centre[:12:2].tolist() == [[4, 4], [12, 4], [20, 4], [4, 12], [12, 12], [20, 12]]
    assert centre[12:].tolist() == [[12, 8], [12, 8]]
    ratio = (found[:, 3] - found[:, 1]) / (found[:, 2] - found[:, 0])
    assert ratio.tolist() == pytest.approx([1, 4] * 7)


def test_sizes_of_ones_own():
    own = anchors(sizes=[[[10, 20], [30, 5]], [[40, 40], [50, 60]]])
    assert own.per_cell == 2
    found = laid(own, [(1, 2), (1, 1)], (8, 16), [8, 16])
    assert found.tolist() == [
        [-1, -6, 9, 14],
        [-11, 1.5, 19, 6.5],
        [7, -6, 17, 14],
        [-3, 1.5, 27, 6.5],
        [-12, -16, 28, 24],
        [-17, -26, 33, 34],
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"sizes": [[[8, 8]]]}, r"has 1 levels and the head 2 \(head.levels\), of strides 8, 16"),
        ({"sizes": [[[8, 8]], [[8, 8], [9, 9]]]}, r"as many .* it lists \[1, 2\]"),
        ({"sizes": [[], []]}, r"one or more; it lists \[0, 0\]"),
        ({"sizes": [[[8, 8]], [[16, 0]]]}, r"above 0; not \[16, 0\]"),
        ({"sizes": [[[8, 8]], [[16]]]}, r"\[width, height\] in pixels, above 0; not \[16\]"),
    ],
)
def test_refused(words, said):
    with pytest.raises(UserError, match=said) as refused:
        anchors(**words).shapes([8, 16])
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith("head.anchors.")


def test_per_cell():
    assert anchors().per_cell == 9
    assert math.isclose(
        anchors().shapes([8])[0][2, 0], 32 * 2 ** (2 / 3) * math.sqrt(2), rel_tol=1e-6
    )

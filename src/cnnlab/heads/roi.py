"""Boxes of several images cut out of several maps."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import ps_roi_pool, roi_align

LEAST_CELLS = 224 / 16
"""A box is read from the coarsest map in which its side (root of its area) has so many cells, or
from the finest: eq. 1 of Lin et al. 2017, where 224 pixels belong to stride 16."""
SAMPLES = 2
"""Points a side of each bin of RoIAlign (He et al. 2017: four in all)."""


class Canvas(NamedTuple):
    """Several maps below one another in one, so that one call reads boxes from each its own map.

    Nothing has to wait for which boxes belong to which map.
    """

    maps: Tensor
    """float32 `(B, C, sum of the heights + 2, largest width + 2)`: around each map its border is
    repeated once, as RoIAlign does beyond the border of a map."""
    cells: Tensor
    """float32 `(L, 2)`: width and height of each map, in cells per pixel of the image."""
    corner: Tensor
    """float32 `(L, 2)`: x and y of its first cell."""


def lay_out(levels: Sequence[Tensor], size: tuple[int, int]) -> Canvas:
    """The canvas of maps `(B, C, h, w)`, the finest first, of images of `size`."""
    widest = max(x.shape[-1] for x in levels)
    framed = [F.pad(x.float(), (1, 1, 1, 1), mode="replicate") for x in levels]
    maps = torch.cat([F.pad(x, (0, widest + 2 - x.shape[-1])) for x in framed], 2)
    above, cells, corners = 0, [], []
    for x, frame in zip(levels, framed, strict=True):
        cells.append((x.shape[-1] / size[1], x.shape[-2] / size[0]))
        corners.append((1.0, above + 1.0))
        above += frame.shape[-2]
    return Canvas(maps, _table(cells, maps), _table(corners, maps))


def _table(rows: Sequence[Sequence[float]], like: Tensor) -> Tensor:
    """As `torch.tensor`, which would wait for the device."""
    return torch.stack([torch.stack([like.new_full((), x) for x in row]) for row in rows])


def align(canvas: Canvas, boxes: Tensor, image: Tensor, bins: int) -> Tensor:
    """RoIAlign (He et al. 2017) over a pyramid.

    The middle of the first cell is the middle of the first `stride` pixels (`aligned` of
    torchvision's operator; its detectors take the corner).

    Args:
        canvas: C channels.
        boxes: `(P, 4)` in pixels, within the images.
        image: `(P,)`: of which image each is.
        bins: a side.

    Returns:
        float32 `(P, C, bins, bins)`.
    """
    side = (boxes[:, 2:] - boxes[:, :2]).prod(1).sqrt()
    # Of strides that differ by axis, as of odd sizes, the mean.
    cells = side[:, None] * canvas.cells.prod(1).sqrt()
    # The maps that are fine enough come first; the finest is always one of them.
    level = (cells[:, 1:] >= LEAST_CELLS).sum(1)
    corner = canvas.corner[level].repeat(1, 2)
    placed = boxes * canvas.cells[level].repeat(1, 2) + corner
    rois = torch.cat((image[:, None].to(placed), placed), 1)
    return roi_align(canvas.maps, rois, bins, 1.0, SAMPLES, True)


def vote(maps: Tensor, boxes: Tensor, image: Tensor, bins: int, size: tuple[int, int]) -> Tensor:
    """Position-sensitive RoI pooling, and the mean of the bins (Dai et al. 2016, eq. 1 and 2).

    Args:
        maps: `(B, N * bins^2, h, w)`: for each of N values a map for each bin, row by row.
        boxes: `(P, 4)` in pixels.
        image: `(P,)`: of which image each is.
        bins: a side.
        size: of the images, in pixels.

    Returns:
        float32 `(P, N)`.
    """
    height, width = maps.shape[-2:]
    across, down = width / size[1], height / size[0]
    x1, y1, x2, y2 = boxes.unbind(1)
    rois = torch.stack((image.to(x1), x1 * across, y1 * down, x2 * across, y2 * down), 1)
    # torchvision's operator never reads a map's last row and column; these are not the map's.
    read = F.pad(maps.float(), (0, 1, 0, 1))
    return ps_roi_pool(read, rois, bins, 1.0).mean((2, 3))

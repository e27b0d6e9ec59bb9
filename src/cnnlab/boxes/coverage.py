"""How well the anchors that lie over an image meet boxes; exact, without a table of all pairs."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from cnnlab.boxes.geometry import area
from cnnlab.boxes.outputs import AnchorOutputs

_CHUNK = 16_384  # boxes at once: with 45 shapes some 3 MB a tensor
_SAME = 0.01  # pixels; centres of different cells lie further apart


class Level(NamedTuple):
    """The anchors of one map: the same shapes in each of its cells."""

    shapes: Tensor
    """float32 `(n, 2)`: widths and heights in pixels."""
    first: tuple[float, float]
    """x and y of the first cell's centre in pixels."""
    step: tuple[float, float]
    """From a centre to the next, in x and y."""
    cells: tuple[int, int]
    """Columns and rows."""


class Coverage(NamedTuple):
    """Of each of N boxes, the anchor that overlaps it most."""

    iou: Tensor
    """float32 `(N,)`."""
    level: Tensor
    """int64 `(N,)`."""
    shape: Tensor
    """int64 `(N,)`: which of its level's shapes."""

    @classmethod
    def joined(cls, parts: Sequence["Coverage"]) -> "Coverage":
        return cls(*(torch.cat(part) for part in zip(*parts, strict=True)))


def levels_of(outputs: AnchorOutputs) -> list[Level]:
    """The grids that a head's anchors stand on, the finest first; read off the anchors themselves.

    Anchors must come as heads give them: row by row, the shapes of a cell together.
    """
    found = []
    for anchors in outputs.anchors.float().split(list(outputs.levels)):
        centres = (anchors[:, :2] + anchors[:, 2:]) / 2
        near = (centres - centres[0]).abs() < _SAME
        per_cell = int(near.all(1).sum())
        columns = int(near[:, 1].sum()) // per_cell
        rows = len(anchors) // (per_cell * columns)
        first, last = centres[0].tolist(), centres[-1].tolist()
        height, width = outputs.size
        # Of a single cell the step is the image.
        step = [
            (b - a) / (count - 1) if count > 1 else float(side)
            for a, b, count, side in zip(first, last, (columns, rows), (width, height), strict=True)
        ]
        shapes = anchors[:per_cell, 2:] - anchors[:per_cell, :2]
        found.append(Level(shapes, (first[0], first[1]), (step[0], step[1]), (columns, rows)))
    return found


def coverage(boxes: Tensor, levels: Sequence[Level]) -> Coverage:
    """Of each box `(N, 4)` the best of all anchors.

    A shape overlaps a box most where its centre is nearest, in x and in y by themselves: so one
    cell a shape is looked at, N x 45 pairs for nine shapes on five levels.
    """
    counts = torch.tensor([len(level.shapes) for level in levels])
    shapes = torch.cat([level.shapes for level in levels])
    first, step, last = (
        torch.tensor(numbers).repeat_interleave(counts, 0)
        for numbers in (
            [level.first for level in levels],
            [level.step for level in levels],
            [[float(count - 1) for count in level.cells] for level in levels],
        )
    )
    own_level = torch.arange(len(levels)).repeat_interleave(counts)
    own_shape = torch.cat([torch.arange(int(count)) for count in counts])
    parts = []
    for some in boxes.float().split(_CHUNK):
        centre, side = (some[:, :2] + some[:, 2:]) / 2, some[:, 2:] - some[:, :2]
        cell = ((centre[:, None] - first) / step).round().clamp(min=0).minimum(last)
        apart = (centre[:, None] - first - cell * step).abs()
        shared = ((side[:, None] + shapes) / 2 - apart).minimum(side[:, None]).minimum(shapes)
        both = shared.clamp(min=0).prod(-1)
        union = area(some)[:, None] + shapes.prod(-1) - both
        iou, best = (both / union.clamp(min=torch.finfo(both.dtype).tiny)).max(1)
        parts.append(Coverage(iou, own_level[best], own_shape[best]))
    if not parts:
        none = torch.zeros(0, dtype=torch.int64)
        return Coverage(torch.zeros(0), none, none)
    return Coverage.joined(parts)

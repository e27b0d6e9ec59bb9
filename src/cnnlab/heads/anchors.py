"""The boxes that a detection head starts from, laid over its maps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cnnlab.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Anchors:
    """The node `head.anchors`: the shapes of each level's anchors."""

    side: float
    """Of the square of the least scale, in strides of its level (RetinaNet: 4, which is 32 pixels
    at stride 8)."""
    scales: tuple[float, ...]
    """Factors of that side."""
    ratios: tuple[float, ...]
    """Height / width; the area stays."""
    offset: float
    """Where in its cell an anchor's centre lies, in 0..1 of the cell: 0.5 in the middle;
    torchvision's and Detectron's stand at 0."""
    sizes: list[list[tuple[float, float]]] | None
    """Instead of side, scales and ratios: of each level, the finest first, a list of
    `[width, height]` in pixels; `python -m cnnlab anchors` fits them. As many at each level."""

    @property
    def per_cell(self) -> int:
        """How many anchors stand in a cell."""
        return len(self.scales) * len(self.ratios) if self.sizes is None else len(self.sizes[0])

    def shapes(self, reductions: Sequence[float]) -> list[Tensor]:
        """Of each level the widths and heights in pixels, float32 `(per_cell, 2)`.

        Args:
            reductions: strides of the levels, the finest first.

        Raises:
            UserError: `sizes` of another number of levels, of different lengths, or no sizes.
        """
        if self.sizes is None:
            shapes = [
                (scale / math.sqrt(ratio), scale * math.sqrt(ratio))
                for ratio in self.ratios
                for scale in self.scales
            ]
            return [torch.tensor(shapes) * self.side * stride for stride in reductions]
        if len(self.sizes) != len(reductions):
            raise UserError(
                f"head.anchors.sizes: has {len(self.sizes)} levels and the head {len(reductions)} "
                f"(head.levels), of strides {', '.join(f'{stride:g}' for stride in reductions)}"
            )
        lengths = [len(level) for level in self.sizes]
        if len(set(lengths)) != 1 or not lengths[0]:
            raise UserError(
                "head.anchors.sizes: must list as many [width, height] at each level, one or more; "
                f"it lists {lengths}"
            )
        for level in self.sizes:
            for size in level:
                if len(size) != 2 or min(size) <= 0:
                    raise UserError(
                        "head.anchors.sizes: each must be [width, height] in pixels, above 0; "
                        f"not {size}"
                    )
        return [torch.tensor(level, dtype=torch.float32) for level in self.sizes]

    def grid(
        self, maps: Sequence[tuple[int, int]], size: tuple[int, int], shapes: Sequence[Tensor]
    ) -> Tensor:
        """All anchors of an image: level by level, row by row, the shapes of a cell together.

        A cell has the image's side divided by the map's, so maps of any size are covered whole.

        Args:
            maps: height and width of each level.
            size: of the image.
            shapes: as `shapes` gives them, on the device where anchors are wanted.

        Returns:
            float32 `(A, 4)`.
        """
        levels = []
        for (height, width), shape in zip(maps, shapes, strict=True):
            rows = self._centres(height, size[0], shape)
            columns = self._centres(width, size[1], shape)
            centre = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1)
            centre, half = centre[:, :, None], shape / 2
            levels.append(torch.cat((centre - half, centre + half), -1).reshape(-1, 4))
        return torch.cat(levels)

    def _centres(self, count: int, side: int, like: Tensor) -> Tensor:
        cells = torch.arange(count, device=like.device, dtype=like.dtype)
        return (cells + self.offset) * (side / count)

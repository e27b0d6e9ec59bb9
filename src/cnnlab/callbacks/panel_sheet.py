"""A figure of rows of panels with words under each row and one legend for all."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_ROWS = 4
"""Of a sheet that has a row an image."""

# In inches.
_TALLEST, _GAP, _EDGE = 5.4, 0.06, 0.12
_TITLE, _UNDER, _ENTRY = 0.32, 0.34, 0.27


class PanelSheet(NamedTuple):
    """What is left to the caller: to fill the axes."""

    figure: "Figure"
    axes: "list[list[Axes]]"
    """By row and title."""
    right_below: tuple[float, float]
    """The right end of the words' line under the last row, in shares of the figure."""


def panel_sheet(
    titles: Sequence[str],
    shapes: Sequence[tuple[int, int]],
    words: Sequence[str],
    patches: Sequence[tuple[str, np.ndarray]],
    panel: float,
) -> PanelSheet:
    """Empty panels in the shapes of the images.

    Args:
        titles: of the columns.
        shapes: height and width of each row's image.
        words: what stands under each row.
        patches: the legend: names and their colours, uint8 `(3,)`.
        panel: width of one, in inches.
    """
    from matplotlib.figure import Figure

    heights = [min(panel * height / width, _TALLEST) for height, width in shapes]
    width = len(titles) * (panel + _GAP) - _GAP + 2 * _EDGE
    columns = _legend_columns([name for name, _ in patches], width)
    under = _ENTRY * -(-len(patches) // columns)
    height = _TITLE + sum(heights) + len(heights) * _UNDER + under + 2 * _EDGE
    figure = Figure(figsize=(width, height), facecolor="white")
    top = height - _EDGE - _TITLE
    rows: list[list[Axes]] = []
    for high, said in zip(heights, words, strict=True):
        row = []
        for j, title in enumerate(titles):
            left = _EDGE + j * (panel + _GAP)
            box = (left / width, (top - high) / height, panel / width, high / height)
            axis = figure.add_axes(box)
            if not rows:
                axis.set_title(title, fontsize=13, pad=5)
            row.append(axis)
        rows.append(row)
        y = (top - high - _UNDER / 2.4) / height
        figure.text(_EDGE / width, y, said, fontsize=11, va="center")
        top -= high + _UNDER
    legend(figure, patches, columns, "upper center", (0.5, (top - _EDGE / 2) / height))
    below = (1 - _EDGE / width, (top + _UNDER - _EDGE / 2) / height)
    return PanelSheet(figure, rows, below)


def show(axis: "Axes", pixels: np.ndarray) -> None:
    """An image uint8 `(H, W, 3)` that fills `axis`, whose units are its pixels, 0 at their edge."""
    height, width = pixels.shape[:2]
    axis.imshow(pixels, interpolation="auto", extent=(0, width, height, 0))
    axis.set(xticks=[], yticks=[])
    for spine in axis.spines.values():
        spine.set(color="0.75", linewidth=0.6)


def legend(
    figure: "Figure",
    patches: Sequence[tuple[str, np.ndarray]],
    columns: int,
    loc: Literal["upper center", "upper right"],
    anchor: tuple[float, float],
) -> None:
    """Add names with their colours, row by row."""
    from matplotlib.patches import Patch

    # matplotlib fills column by column; read row by row, the order of the classes is plainer.
    order = [i for first in range(columns) for i in range(first, len(patches), columns)]
    handles = [
        Patch(
            facecolor="#" + patches[i][1].tobytes().hex(),
            edgecolor="0.6",
            linewidth=0.5,
            label=patches[i][0],
        )
        for i in order
    ]
    figure.legend(
        handles=handles,
        loc=loc,
        bbox_to_anchor=anchor,
        ncols=columns,
        fontsize=11,
        frameon=False,
        borderpad=0,
        borderaxespad=0,
        handlelength=1.4,
        handleheight=1.0,
        columnspacing=1.5,
    )


def _legend_columns(names: Sequence[str], width: float) -> int:
    """As many as the longest name leaves room for; 0.085 inches a letter at 11 points."""
    entry = 0.55 + 0.085 * max(map(len, names), default=1)
    most = max(1, int((width - 2 * _EDGE) / entry))
    rows = -(-len(names) // most)
    return max(1, -(-len(names) // max(rows, 1)))  # rows of even length

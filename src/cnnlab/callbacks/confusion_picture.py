"""The confusion matrix as a picture and as a table."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_LABELS = 25  # classes up to which the matrix can be read with names and numbers
_MOST_TABLE_ROWS = 10_000  # of one W&B table


def confusion_picture(
    counts: Sequence[Sequence[float]], classes: Sequence[str], in_percent: bool
) -> "Figure":
    """Shares of the true class as shades; of few classes with names and numbers.

    Args:
        counts: `(K, K)`, truth in rows.
        classes: names by id.
        in_percent: whether the numbers are percent of the true class, not counts; those of pixels
            have too many digits for a cell. Below a half percent a cell is empty.
    """
    from matplotlib.figure import Figure

    table = torch.tensor(counts, dtype=torch.float64)
    shares = table / table.sum(1, keepdim=True).clamp(min=1)
    numbers = (100 * shares).round() if in_percent else table
    side = min(max(4.0, 0.45 * len(classes)), 12.0)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axis = figure.subplots()
    picture = axis.imshow(shares.numpy(), cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(picture, ax=axis, label="share of the true class")
    axis.set(xlabel="predicted", ylabel="truth")
    if len(classes) <= _MOST_LABELS:
        if in_percent:
            axis.set_title("pixels, in % of the true class", fontsize=10)
        ticks = range(len(classes))
        axis.set_xticks(ticks, classes, rotation=90)
        axis.set_yticks(ticks, classes)
        for i in ticks:
            for j in ticks:
                if numbers[i, j]:
                    colour = "white" if shares[i, j] > 0.5 else "black"
                    number = f"{int(numbers[i, j])}"
                    axis.text(j, i, number, ha="center", va="center", fontsize=7, color=colour)
    return figure


def confusion_table(counts: Sequence[Sequence[float]], classes: Sequence[str]) -> list[list[Any]]:
    """Rows `[truth, predicted, count]` of the cells that are not 0, the largest first."""
    cells: list[list[Any]] = [
        [classes[i], classes[j], int(count)]
        for i, row in enumerate(counts)
        for j, count in enumerate(row)
        if count
    ]
    return sorted(cells, key=lambda cell: cell[2], reverse=True)[:_MOST_TABLE_ROWS]

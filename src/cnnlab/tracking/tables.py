"""A comparison on the terminal; 80 columns are enough, and a pipe gets the same words."""

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from cnnlab.tracking.comparison import Comparison
from cnnlab.tracking.grids import Grid, basis, grids, heading, sentences

_SHORT = {"params/M": "par/M", "latency/ms": "ms", "act./M": "act/M", "difference": "diff."}
"""Titles of columns where there is little room."""
_OUTCOME_STYLE = {"supported": "green", "contradicted": "red", "not resolved": "yellow"}


def terminal(comparison: Comparison) -> RenderableType:
    """What `compare` prints: claim, tables, verdicts, and what to be careful about."""
    parts: list[RenderableType] = [Text(heading(comparison), style="bold")]
    if comparison.ablation is not None:
        claim = f"claim: {comparison.ablation.get('claim')}"
        source = comparison.ablation.get("source")
        parts.append(Text(claim + (f" ({source})" if source else "")))
    parts.append(Text(basis(comparison), style="dim"))
    for grid in grids(comparison):
        parts += [Text(""), Text(grid.title, style="italic"), _table(grid)]
        if grid.foot:
            parts.append(Text(grid.foot, style="dim"))
    words = sentences(comparison)
    if words:
        parts += [Text(""), *(Text(f"- {line}") for line in words)]
    if comparison.warnings:
        parts += [Text(""), Text("unfair or incomplete", style="bold yellow")]
        parts += [Text(f"! {line}") for line in comparison.warnings]
    if comparison.notes:
        parts += [Text(""), *(Text(f"- {line}") for line in comparison.notes)]
    return Lines(*parts)


def _table(grid: Grid) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    for place, title in enumerate(grid.header):
        words = grid.header[0] == "key"
        left = place == 0 or words or title == "verdict"
        table.add_column(
            Text(_SHORT.get(title, title)),
            justify="left" if left else "right",
            overflow="fold",
            no_wrap=place > 0 and not words and title != "verdict",
        )
    for index, row in enumerate(grid.rows):
        cells = [Text(cell) for cell in row]
        for place, cell in enumerate(cells):
            if (index, place) in grid.strong:
                cell.stylize(_OUTCOME_STYLE.get(row[place], "bold"))
        table.add_row(*cells)
    return table

"""A comparison as Markdown (GitHub's), for a pull request or a README."""

import re

from cnnlab.tracking.comparison import Comparison
from cnnlab.tracking.grids import Grid, basis, grids, heading, sentences

_SPECIAL = re.compile(r"[\\`*|<>\[\]]|(?<!\w)_|_(?!\w)|~(?=~)")
"""Also underscores at the edge of a word; those inside of one are plain."""


def markdown(comparison: Comparison) -> str:
    """Heading, tables, verdicts, warnings and notes."""
    parts = [f"## {escape(heading(comparison))}"]
    if comparison.ablation is not None:
        source = comparison.ablation.get("source")
        claim = f"{comparison.ablation.get('claim')}" + (f" ({source})" if source else "")
        parts.append(f"**Claim**: {escape(claim)}")
    parts.append(escape(basis(comparison)))
    for grid in grids(comparison):
        parts += [f"### {escape(grid.title)}", _table(grid)]
        parts += [escape(grid.foot)] if grid.foot else []
    for title, lines in (
        ("Verdicts", sentences(comparison)),
        ("Unfair or incomplete", comparison.warnings),
        ("Notes", comparison.notes),
    ):
        if lines:
            parts += [f"### {title}", "\n".join(f"- {escape(line)}" for line in lines)]
    return "\n\n".join(part for part in parts if part) + "\n"


def escape(text: str) -> str:
    """`text` so that Markdown shows it as it is, also in a cell."""
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", text.replace("\n", " "))


def _table(grid: Grid) -> str:
    words = ("key", "values", "verdict")
    marks = ["---" if i == 0 or t in words else "---:" for i, t in enumerate(grid.header)]
    rows = [[escape(title) for title in grid.header], marks]
    for index, row in enumerate(grid.rows):
        cells = [escape(cell) for cell in row]
        rows.append([f"**{c}**" if (index, i) in grid.strong else c for i, c in enumerate(cells)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)

"""Tables that can be sorted; without JavaScript they are plain tables."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cnnlab.tracking.grids import NONE
from cnnlab.tracking.report.markup import Child, Html, join, tag

_SCROLLS_FROM = 25
"""Rows from which on a table scrolls in a window of its own on a screen."""


@dataclass(frozen=True)
class Cell:
    """What stands in a table, and what it is sorted by.

    Attributes:
        content: text or markup.
        sort: a number; None: there is none, which is sorted last.
        css: class.
    """

    content: Child
    sort: float | None = None
    css: str | None = None


@dataclass(frozen=True)
class Row:
    """Of a table; `index` is its group's."""

    cells: Sequence[Cell | str]
    index: int | None = None
    css: str | None = None


def table(id: str, header: Sequence[str | tuple[str, str]], rows: Sequence[Row]) -> Html:
    """A table in a box that scrolls sideways.

    Args:
        id: for the address `#sort=ID,COLUMN,ascending`.
        header: titles, those of numbers as (title, what it means); the others are of words.
        rows: as wide as the header.
    """
    heads = [
        tag("th", title, scope="col")
        if isinstance(title, str)
        else tag("th", title[0], scope="col", class_="number", title=title[1])
        for title in header
    ]
    numbers = [not isinstance(title, str) for title in header]
    body = [
        tag("tr", map(_cell, row.cells, numbers), data_group=row.index, class_=row.css)
        for row in rows
    ]
    own = tag("table", tag("thead", tag("tr", heads)), tag("tbody", body), id=f"{id}-table")
    long = " long" if len(rows) >= _SCROLLS_FROM else ""
    return tag("div", own, class_=f"scroll{long}", tabindex="0", role="group", aria_label=id)


def _cell(cell: Cell | str, number: bool) -> Html:
    cell = cell if isinstance(cell, Cell) else Cell(cell)
    content = join([cell.content]) or NONE
    sort = repr(cell.sort) if cell.sort is not None and math.isfinite(cell.sort) else None
    css = " ".join(filter(None, ("number" if number else None, cell.css)))
    return tag("td", content, class_=css or None, data_sort=sort)

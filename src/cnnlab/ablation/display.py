"""How a multirun is shown while it runs: a live table on a terminal, a line an event elsewhere."""

import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

_ORDER = ("running", "elsewhere", "failed", "stopped", "waiting", "finished")
"""What a person looks for first; a terminal has few lines."""
_STYLE = {"running": "cyan", "failed": "red", "stopped": "yellow", "finished": "green"}


@dataclass(frozen=True)
class Row:
    """A run as it is now; empty strings are unknown."""

    arm: str
    seed: int
    state: str
    epoch: str = ""
    metric: str = ""
    left: str = ""


class Lines:
    """One line an event: for log files, notebooks, CI."""

    live = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def say(self, line: str) -> None:
        """Print `line`; that nobody can read it any more stops no run."""
        with suppress(OSError):
            print(line, flush=True)

    def show(self, rows: Sequence[Row], metric: str, caption: str) -> None:
        """Nothing: what changed was said."""


class LiveTable(Lines):
    """Redrawn in place; events that a person should not miss stay above it."""

    live = True

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, transient=True, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._live.stop()

    def say(self, line: str) -> None:
        with suppress(OSError):
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def show(self, rows: Sequence[Row], metric: str, caption: str) -> None:
        with suppress(OSError):
            table = draw(rows, metric, caption, self._console.height - 4)
            self._live.update(table, refresh=True)


def draw(rows: Sequence[Row], metric: str, caption: str, lines: int) -> Table:
    """At most `lines` rows, those under way and failed first; what is left out is counted."""
    table = Table(box=None, pad_edge=False, header_style="bold", caption_justify="left")
    table.add_column("arm", overflow="ellipsis", no_wrap=True)
    for title in ("seed", "state", "epoch", metric or "metric", "time left"):
        table.add_column(title, justify="right", no_wrap=True)
    first = sorted(rows, key=lambda row: _ORDER.index(row.state))
    for row in first[: max(lines, 1)]:
        state = Text(row.state, _STYLE.get(row.state, ""))
        # As Text, for a bracket in an arm's name is no markup.
        table.add_row(Text(row.arm), str(row.seed), state, row.epoch, row.metric, row.left)
    hidden = len(first) - max(lines, 1)
    table.caption = caption + (f"; {hidden} not shown" if hidden > 0 else "")
    return table


def display() -> Lines:
    """The live table where standard output is a terminal that can redraw."""
    console = Console(file=sys.stdout)
    return LiveTable(console) if console.is_terminal and not console.is_dumb_terminal else Lines()

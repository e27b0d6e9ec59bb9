"""`python -m cnnlab compare`: its words, and what it prints and writes."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from rich.console import Console, RenderableType
from rich.text import Text

from cnnlab.atomic import write_bytes
from cnnlab.errors import UserError, nearest
from cnnlab.tracking.compare import compare
from cnnlab.tracking.comparison import Comparison
from cnnlab.tracking.find import TUNING, find
from cnnlab.tracking.multirun import multiruns
from cnnlab.tracking.reading import RunData
from cnnlab.tracking.tables import terminal
from cnnlab.tracking.watch import watch

WATCH_EVERY_S = 5.0
_VALUES = {
    "by": "model.groups",
    "metric": "val/top1",
    "cost": "gmacs",
    "baseline": "ARM",
    "markdown": "FILE.md",
    "latex": "FILE.tex",
    "csv": "FILE.csv",
    "html": "FILE.html",
    "collect": "DIR",
    "wandb-report": "ENTITY/PROJECT",
}
_NARROWEST = 80


def compare_verb(words: list[str]) -> None:
    """Compare the runs that `words` name.

    Raises:
        UserError: a word that is none of the verb's, or what `find` and `compare` refuse.
    """
    asked = _parse(words)
    if asked.wandb_report is not None:
        from cnnlab.tracking.wandb_report import ready

        ready(asked.wandb_report)
    console = Console()
    if not console.is_terminal or console.width < _NARROWEST:
        # Tables stay whole in a file and are cut by no pipe.
        console = Console(width=max(console.width, _NARROWEST))

    def build() -> tuple[list[RunData], Comparison]:
        runs = find(asked.paths, _warn)
        return runs, compare(
            runs,
            metric=asked.metric,
            cost=asked.cost,
            by=asked.by,
            baseline=asked.baseline,
            higher=asked.higher,
            ignore=[key for words in asked.ignore for key in words.split(",") if key],
        )

    if asked.watch:

        def draw() -> RenderableType:
            try:
                return terminal(build()[1])
            except UserError as error:  # nothing finished yet
                return Text(str(error))

        watch(multiruns(_planned(asked.paths)), draw, console, WATCH_EVERY_S)
        if not _writes(asked):
            return
        runs, comparison = build()
    else:
        runs, comparison = build()
        console.print(terminal(comparison))
    try:
        for line in _write(asked, runs, comparison):
            console.print(Text(line), soft_wrap=True)  # paths and addresses are copied from here
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be written ({error.strerror})") from error


def _write(asked: argparse.Namespace, runs: list[RunData], comparison: Comparison) -> Iterator[str]:
    """The files that were asked for; a line for each as it is written."""
    texts: dict[Path, str] = {}
    if asked.markdown:
        from cnnlab.tracking.markdown import markdown

        texts[Path(asked.markdown)] = markdown(comparison)
    if asked.latex:
        from cnnlab.tracking.latex import latex

        texts[Path(asked.latex)] = latex(comparison)
    if asked.csv:
        from cnnlab.tracking.csv_table import csv_files

        texts |= csv_files(comparison, Path(asked.csv))
    for path, text in texts.items():
        write_bytes(path, text.encode())
        yield f"wrote {path}"
    if asked.html:
        from cnnlab.tracking.report import write_report

        write_report(comparison, Path(asked.html))
        yield f"wrote {asked.html}"
    if asked.collect:
        from cnnlab.tracking.collect import collect

        written = collect(runs, Path(asked.collect), _warn)
        yield f"collected {len(written)} runs in {asked.collect}"
    if asked.wandb_report:
        from cnnlab.tracking.wandb_report import write_wandb_report

        yield f"wrote {write_wandb_report(comparison, asked.wandb_report)}"


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)


def _writes(asked: argparse.Namespace) -> bool:
    texts = asked.markdown, asked.latex, asked.csv
    return any((*texts, asked.html, asked.collect, asked.wandb_report))


def _planned(paths: Sequence[str]) -> list[Path]:
    """The folders of multiruns among `paths` and below them.

    What is tuned belongs to another; of what a dot begins `.locks` has files of these names, too,
    and `.stale` what counts no more.
    """
    found: list[Path] = []
    for path in (Path(path) for path in paths if not path.startswith("wandb:")):
        for file in sorted(path.rglob("*.json")):
            below = file.parent.relative_to(path).parts
            hidden = TUNING in below or any(part.startswith(".") for part in below)
            if file.name in ("ablation.json", "plan.json") and not hidden:
                found.append(file.parent)
    return found


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"compare: {message}")


def _parse(words: list[str]) -> argparse.Namespace:
    options = [f"--{name}" for name in (*_VALUES, "ignore", "higher", "lower", "watch")]
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("paths", nargs="*")
    for name, example in _VALUES.items():
        parser.add_argument(
            f"--{name}", metavar=example, default="gmacs" if name == "cost" else None
        )
    parser.add_argument("--ignore", metavar="KEY,KEY", action="append", default=[])
    better = parser.add_mutually_exclusive_group()
    better.add_argument("--higher", action="store_true", default=None)
    better.add_argument("--lower", action="store_false", dest="higher")
    parser.add_argument("--watch", action="store_true")
    for word in words:
        option = word.partition("=")[0]
        if word.startswith("-") and option not in options:
            raise UserError(
                f"compare {option}: no such option{nearest(option, options)} "
                f"(there are {', '.join(options)})"
            )
    asked = parser.parse_intermixed_args(words)
    if not asked.paths:
        raise UserError(
            "compare: name run folders, such as runs/NAME, or wandb:ENTITY/PROJECT/GROUP"
        )
    return asked

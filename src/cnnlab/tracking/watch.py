"""Redraws a comparison while its multirun goes on."""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console, RenderableType
from rich.console import Group as Lines
from rich.live import Live
from rich.text import Text

from cnnlab.errors import UserError
from cnnlab.tracking.find import TUNING
from cnnlab.tracking.multirun import LAUNCHER, Multirun, multiruns
from cnnlab.tracking.naming import some

DONE = ("finished", "failed", "stopped")
_IDLE = 3
"""Looks in a row that find nobody at work: between tuning and the runs that count nobody is."""


def watch(
    several: Sequence[Multirun],
    draw: Callable[[], RenderableType],
    console: Console,
    every_s: float,
) -> None:
    """Show how the jobs stand, and `draw()` again whenever one more is done; until all are.

    Those of an ablation that is being tuned are its tuning runs, until it goes on to the others.
    Where nobody works on what is open, it ends with a line that says so. Ctrl-C ends it; the
    multirun goes on. A pipe gets a line at every change, and `draw()` at the end alone.

    Args:
        several: what to wait for; while one is being launched it is not over.
        draw: makes the comparison of the runs so far.
        console: where to.
        every_s: seconds between two looks at the folders.

    Raises:
        UserError: none has a plan.
    """
    if not any(multirun.jobs for multirun in map(_stage, several)):
        raise UserError(
            "--watch: no plan.json in or below these folders: no multirun is there, or not yet"
        )
    body: RenderableType = Text("")
    known: dict[Path, str] = {}
    idle = 0
    try:
        with _display(console) as show:
            while True:
                before, stages = known, [_stage(multirun) for multirun in several]
                folders = [job.folder for multirun in stages for job in multirun.jobs]
                known = {f: s if (s := known.get(f)) == "finished" else status(f) for f in folders}
                if done(known) != done(before) or not before:
                    body = draw()
                tuning = {one.folder for one in stages} - {one.folder for one in several}
                said = ("tuning: " if tuning else "") + progress(known)
                if known != before and not console.is_terminal:
                    console.print(Text(said))
                show(said, body)
                at_work = any(map(launching, [*several, *stages])) or any(map(_claimed, folders))
                idle = 0 if at_work else idle + 1
                if len(done(known)) == len(folders) and idle and not tuning:
                    return
                if idle == _IDLE:
                    break
                time.sleep(every_s)
        console.print(Text("nobody is at work here: repeat the multirun's command to go on"))
    except KeyboardInterrupt:
        console.print(Text("stopped watching; the multirun is not touched"))


@contextmanager
def _display(console: Console) -> Iterator[Callable[[str, RenderableType], None]]:
    """Redraws head and body on a terminal; elsewhere the last body is printed at the end, once."""
    if console.is_terminal:
        with Live(console=console, auto_refresh=False, vertical_overflow="visible") as live:
            yield lambda said, body: live.update(
                Lines(Text(said, style="bold"), body), refresh=True
            )
        return
    last: list[RenderableType] = []
    try:
        yield lambda said, body: last.__setitem__(slice(None), [body])
    finally:
        console.print(*last)


def launching(multirun: Multirun) -> bool:
    """Whether a launcher is at work: what failed before may be tried again."""
    return _is_held(multirun.folder / LAUNCHER)


def _claimed(folder: Path) -> bool:
    """Whether a process works on the job in `folder`; a launcher's death may leave one."""
    return _is_held((folder.parent / LAUNCHER).with_name(folder.name))


def _stage(multirun: Multirun) -> Multirun:
    """The multirun as its files say now, or the tuning that comes before it."""
    now = next(iter(multiruns([multirun.folder])), multirun)
    tuning = next(iter(multiruns([multirun.folder / TUNING])), None)
    return tuning if tuning and (not now.jobs or launching(tuning)) else now


def _is_held(path: Path) -> bool:
    try:
        handle = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(handle)
    return False


def status(folder: Path) -> str:
    """Of a job: `waiting`, `running` (a killed one, too), `finished`, `failed` or `stopped`."""
    for name in ("run.json", "outcome.json"):  # the second says what became of a killed process
        try:
            found = str(json.loads((folder / name).read_text())["status"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if name == "outcome.json" or found in DONE:
            return found
    return "running" if (folder / "run.json").exists() else "waiting"


def done(known: dict[Path, str]) -> set[tuple[Path, str]]:
    """The jobs that have ended, and how."""
    return {(folder, status) for folder, status in known.items() if status in DONE}


def progress(known: dict[Path, str]) -> str:
    """`12 of 25 jobs done; running: g1-s0; failed: g4-s1; 11 waiting`."""
    named = {
        status: [folder.name for folder, own in known.items() if own == status]
        for status in ("running", "failed", "stopped")
    }
    waiting = sum(own == "waiting" for own in known.values())
    parts = [f"{sum(own in DONE for own in known.values())} of {len(known)} jobs done"]
    parts += [f"{status}: {some(names)}" for status, names in named.items() if names]
    parts += [f"{waiting} waiting"] if waiting else []
    return "; ".join(parts)

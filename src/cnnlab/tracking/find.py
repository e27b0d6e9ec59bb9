"""Finds the runs behind what a user names: run folders, W&B's folders, W&B's server."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from cnnlab.errors import UserError, nearest
from cnnlab.tracking.reading import RunData, read_run
from cnnlab.tracking.wandb_offline import read_part
from cnnlab.tracking.wandb_online import PREFIX, read_parts
from cnnlab.tracking.wandb_parts import Part, run_data

TUNING = "tuning"
"""In an ablation's folder: its runs chose settings on val, and count nowhere unless asked for."""
Warn = Callable[[str], None]


def _say(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)


def find(paths: Sequence[str | Path], warn: Warn = _say) -> list[RunData]:
    """All runs at or below `paths`, in the order of the paths, below one by name.

    A path is a run folder, a folder that holds some at any depth (a multirun, collected records),
    one of W&B's own folders, or `wandb:ENTITY/PROJECT[/GROUP]`. Sessions of one W&B run are one
    run. A run that is met again counts once: by another path, as a collected copy, as its mirror
    at W&B. Names that begin with a dot are not looked into, nor are an ablation's tuning runs
    unless their folder is named.

    Args:
        paths: at least one.
        warn: is told, a line each, which runs cannot be read and how many these are, and what
            counts once; prints to stderr unless given.

    Raises:
        UserError: a path that does not exist or has no run that can be read; W&B's server does not
            give what is asked for.
    """
    found = _Found(warn)
    for path in paths:
        met, lost = found.met, found.lost
        if str(path).startswith(PREFIX):
            for part in read_parts(str(path), found.lose):
                found.add_part(part)
        else:
            _look(Path(path), found)
        if found.met == met:
            reason = "it holds no run.json and no run-*.wandb"
            if found.aside is not None and found.aside.is_relative_to(path):
                reason = f"but tuning runs, which do not count: {found.aside}"
            if found.lost > lost:
                reason = f"{found.lost - lost} cannot be read"
            elif str(path).startswith(PREFIX):
                reason = "W&B has none there"
            raise UserError(f"{path}: no runs in it, {reason}")
    return found.runs()


class _Found:
    """What was met so far.

    Attributes:
        met: runs that could be read, those met again included.
        lost: runs that could not.
        aside: a folder of tuning runs that was not looked into.
    """

    def __init__(self, warn: Warn) -> None:
        self.warn = warn
        self.met = 0
        self.lost = 0
        self.aside: Path | None = None
        self._runs: dict[tuple[str, ...], RunData | list[Part]] = {}
        self._read: set[tuple[int, int]] = set()
        self._copies = 0

    def lose(self, text: str) -> None:
        """A run cannot be read."""
        self.lost += 1
        self.warn(text)

    def add_record(self, folder: Path) -> None:
        if self._again(folder):
            return
        run = read_run(folder)
        self._read.add(_inode(folder))
        self.met += 1
        # What a copy shares with the run, a collected one too, and two runs never share.
        time = run.time.get("started"), run.time.get("total_s")
        key = tuple(map(str, (run.identity, run.wandb_id, *time, run.metrics)))
        known = self._runs.get(key)
        if isinstance(known, RunData):
            self._copies += 1
        if not isinstance(known, RunData) or run.machine:  # less was left out of this one
            self._runs[key] = run

    def add_file(self, file: Path) -> None:
        """A run of W&B, or a session of one."""
        if self._again(file):
            return
        part = read_part(file, self.warn)
        self._read.add(_inode(file))
        self.add_part(part)

    def add_part(self, part: Part) -> None:
        self.met += 1
        # Ids are W&B's own within a project.
        known = self._runs.setdefault((part.known.get("project") or "", part.id), [])
        assert isinstance(known, list)  # records have longer keys
        known.append(part)

    def runs(self) -> list[RunData]:
        """Each run once; tells what was left out."""
        records = [run for run in self._runs.values() if isinstance(run, RunData)]
        mirrored = {(run.wandb_id, run.identity) for run in records if run.wandb_id}
        runs, mirrors = [], 0
        for known in self._runs.values():
            run = known
            if isinstance(run, list):
                run = run_data(_sessions(run), self.warn)
                if (run.wandb_id, run.identity) in mirrored:
                    mirrors += 1
                    continue
            runs.append(run)
        if self.lost:
            self.warn(f"{self.lost} of {self.lost + self.met} runs cannot be read and are left out")
        if self._copies:
            self.warn(f"{self._copies} runs are copies of others and do not count again")
        if mirrors:
            self.warn(f"{mirrors} runs at W&B repeat run folders and do not count again")
        return runs

    def _again(self, path: Path) -> bool:
        """Whether `path` was read before, maybe by another name."""
        known = _inode(path) in self._read
        self.met += known
        return known


def _look(path: Path, found: _Found) -> None:
    """At a path as it was typed."""
    if path.suffix == ".wandb" and path.is_file():
        _add(found.add_file, path, found)
    elif path.name == "run.json" and path.is_file():
        _add(found.add_record, path.parent, found)
    elif path.is_dir():
        _walk(path, found, set())
    elif path.exists():
        raise UserError(f"{path}: not a folder, run.json or run-*.wandb")
    else:
        siblings = os.listdir(path.parent) if path.parent.is_dir() else []
        raise UserError(f"{path}: no such folder{nearest(path.name, siblings)}")


def _walk(folder: Path, found: _Found, above: set[str]) -> None:
    """`above`: the real paths of the folders that led here; a link back to one of them ends."""
    try:
        with os.scandir(folder) as entries:
            listed = {entry.name: entry for entry in entries}
    except OSError as error:
        found.warn(f"{folder}: cannot be looked into ({error.strerror})")
        return
    if "run.json" in listed:
        _add(found.add_record, folder, found)
        return  # what lies deeper is the run's own, W&B's mirror too
    if "metrics.csv" in listed:
        found.lose(f"{folder}: metrics.csv without run.json")
        return
    files = sorted(n for n in listed if n.startswith("run-") and n.endswith(".wandb"))
    for name in files:
        _add(found.add_file, folder / name, found)
    if files:
        return
    above = above | {os.path.realpath(folder)}
    # Links last: W&B's `latest-run` is a second name.
    for name in sorted(listed, key=lambda name: (listed[name].is_symlink(), name)):
        entry = listed[name]
        if name.startswith(".") or not entry.is_dir():
            continue
        if name == TUNING and "ablation.json" in listed:
            found.aside = folder / name
            continue
        if entry.is_symlink() and os.path.realpath(entry.path) in above:
            continue
        _walk(folder / name, found, above)


def _add(add: Callable[[Path], None], path: Path, found: _Found) -> None:
    try:
        add(path)
    except (UserError, OSError) as error:
        found.lose(str(error))


def _inode(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _sessions(parts: list[Part]) -> list[Part]:
    """The parts less those that repeat others: copied folders, what was uploaded and is here."""
    there = [part for part in parts if str(part.folder).startswith(PREFIX)]
    here: dict[str, Part] = {}
    for part in parts:
        if str(part.folder).startswith(PREFIX):
            continue
        known = here.setdefault(str(part.started or part.folder), part)
        if len(known.rows) < len(part.rows):
            here[str(part.started or part.folder)] = part
    return max(list(here.values()), there, key=lambda some: sum(len(part.rows) for part in some))

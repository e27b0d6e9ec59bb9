"""How far a job is; its folder alone tells, so any process may ask and a repeat goes on from it."""

import csv
import io
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from cnnlab.ablation.code_version import Code
from cnnlab.ablation.job import Job
from cnnlab.errors import UserError

OUTCOME = "outcome.json"
"""Written where a job's process ended without finishing the run: exit code, reason, when."""
LOG = "log.txt"
"""What the process printed, all attempts one after the other."""
TAIL = 1 << 16
"""Bytes of metrics.csv that are read to see how far a run is."""

Status = Literal["new", "half-done", "stopped", "failed", "finished"]


@dataclass(frozen=True)
class JobState:
    """What a job's folder says.

    Attributes:
        status: `half-done` is what a kill leaves; it says nothing of whether a process lives.
        reason: why it failed or stopped.
        identities: of the config that it ran; the planned one and the one `auto` led to.
        codes: what made it, over all sessions that recorded it.
        resumable: a checkpoint is there, and the run is not finished.
        ended: when its last attempt ended unfinished, by the disk's clock: that of the machine
            that attempted it may be another than the launcher's.
        epochs, steps: that the run trains in all; None: unknown.
        metrics, cost: as in run.json.
        best_key: what chose the best checkpoint.
        seconds: of all sessions, as far as run.json says.
    """

    status: Status
    reason: str | None = None
    identities: frozenset[str] = frozenset()
    codes: frozenset[Code] = frozenset()
    resumable: bool = False
    ended: float | None = None
    epochs: int | None = None
    steps: int | None = None
    metrics: dict[str, float | None] = field(default_factory=dict)
    cost: dict[str, float | None] = field(default_factory=dict)
    best_key: str | None = None
    seconds: float | None = None

    def other_config(self, job: Job) -> bool:
        """Whether something is there to lose, and it ran another config than `job` has."""
        return self._counts and job.identity not in self.identities

    def other_code(self, code: Code | None) -> bool:
        """Whether something is there to lose, and other code than `code` ran it.

        Where either is unknown (no git) they count as the same.
        """
        return self._counts and code is not None and any(one.differs(code) for one in self.codes)

    def failed_since(self, when: float) -> bool:
        """Whether an attempt failed at or after `when`, by the disk's clock."""
        return self.status == "failed" and self.ended is not None and self.ended >= when

    def outdated(self, job: Job, code: Code | None) -> bool:
        """Whether config or code changed since."""
        return self.other_config(job) or self.other_code(code)

    @property
    def values(self) -> dict[str, float | None]:
        """All that the run measured: metrics and costs by their keys."""
        return self.cost | self.metrics

    @property
    def _counts(self) -> bool:
        return self.status == "finished" or self.resumable


def read_state(folder: Path) -> JobState:
    """What `folder` says; a folder that is not there yet is a new job's.

    A record without the parts that name a machine (`compare --collect`) is as good as another.

    Raises:
        UserError: a file there is not what cnnlab wrote.
    """
    run, ended = _read(folder / "run.json"), _written(folder / OUTCOME)
    outcome = None if ended is None else _read(folder / OUTCOME)
    if run is None:
        if outcome is None:
            return JobState("new")
        return JobState(outcome["status"], outcome["reason"], ended=ended)
    status: Status = "half-done" if run["status"] == "running" else run["status"]
    reason = run.get("reason")
    if outcome is not None and status != "finished":
        status, reason = outcome["status"], outcome["reason"]
    time, git, best = run.get("time") or {}, run.get("git") or {}, run.get("best") or {}
    codes = map(Code.read, (git, *time.get("sessions", ())))
    planned = (run.get("job") or {}).get("identity")
    trainer = (run.get("config") or {}).get("trainer") or {}
    last = folder / "checkpoints" / "last.ckpt"
    return JobState(
        status=status,
        reason=None if status == "finished" else reason,
        identities=frozenset(one for one in (run["identity"], planned) if one),
        codes=frozenset(one for one in codes if one),
        resumable=status != "finished" and last.is_file(),
        ended=ended,
        epochs=trainer.get("max_epochs"),
        steps=time.get("steps"),
        metrics=run.get("metrics") or {},
        cost=run.get("cost") or {},
        best_key=best.get("key"),
        seconds=time.get("total_s"),
    )


@dataclass(frozen=True)
class Progress:
    """Of a run that is under way: whole epochs, steps, and the newest value of each metric."""

    epoch: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    step: int = 0

    def share(self, state: JobState) -> float:
        """Of the run, 0 ... 1: of its steps, or where their number is unknown of its epochs."""
        done, total = (self.step, state.steps) if state.steps else (self.epoch, state.epochs)
        return min(done / total, 1.0) if total else 0.0


def read_progress(folder: Path) -> Progress:
    """From the end of metrics.csv, however long the file is."""
    try:
        with (folder / "metrics.csv").open("rb") as file:
            file.seek(0, os.SEEK_END)
            start = max(file.tell() - TAIL, 0)
            file.seek(start)
            text = file.read().decode(errors="replace")  # the first byte may be within a letter
    except OSError:
        return Progress()
    # First the header, or a line whose beginning is cut off; a kill may have torn the last one.
    rows = csv.reader(io.StringIO(text[text.find("\n") + 1 : text.rfind("\n") + 1]))
    step, epoch, metrics = 0, 0, {}
    try:
        for at, done, _, key, value in rows:
            step, epoch, metrics[key] = int(at), int(done), float(value)
    except (ValueError, csv.Error):  # no row of ours: shown as unknown, and no run is stopped
        return Progress()
    return Progress(epoch, metrics, step)


def _written(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None


def _read(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); move it away") from None
    lacking = {"run.json": {"status", "identity"}, OUTCOME: {"status", "reason", "ended"}}
    if not isinstance(value, dict) or lacking[path.name] - value.keys():
        raise UserError(f"{path}: not written by cnnlab; move it away")
    return value

"""One attempt at a job, on whichever machine: claim it, make its folder ready, run `train.py`.

A run that is half done goes on from its last checkpoint (`train.py` sees to it); without one it
starts over.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

from cnnlab.ablation.claim import claim
from cnnlab.ablation.code_version import Code, changed_since
from cnnlab.ablation.job import FOLDER, JOB, Job, job_variables
from cnnlab.ablation.job_state import LOG, OUTCOME, JobState, read_state
from cnnlab.ablation.secret_words import revealed
from cnnlab.atomic import write_json
from cnnlab.errors import UserError
from cnnlab.tracking.redact import Redactor

ELSEWHERE = 75
"""Exit code of an attempt that found the job in another process's hands (sysexits: try again)."""
CODE_CHANGED = 76
"""Of one that was queued at the launch, and found other code when its turn came."""
STOPPED = (128 + signal.SIGINT, 128 + signal.SIGTERM, -signal.SIGINT, -signal.SIGTERM)
"""Exit codes of a `train.py` that was told to stop."""
STALE = ".stale"
"""Where outdated runs are moved, beside the run folders."""
KEEP = ("all", "weights", "none")
"""What stays of a finished run: everything; no checkpoints; no weights either."""


@dataclass(frozen=True)
class Order:
    """What to attempt, and how; goes to the process or node that does it.

    Attributes:
        multirun: the plan's name.
        command: what runs a job, before its words.
        variables: of the environment, beside those of whoever attempts it.
        code: at the launch; None: unknown.
        stale: `rerun` moves an outdated run aside first, `keep` counts it where it is finished.
        keep: one of `KEEP`.
        began: when the multirun was launched, by the disk's clock (`disk_time`).
    """

    multirun: str
    job: Job
    command: list[str]
    variables: dict[str, str]
    code: Code | None
    stale: str | None
    keep: str
    began: float

    def refuses(self, state: JobState) -> bool:
        """Whether another experiment's run is there, and nobody said what becomes of it.

        The launcher refuses such runs before it starts; this one came since, by somebody else.
        """
        return self.stale is None and state.outdated(self.job, self.code)

    def counts(self, state: JobState) -> bool:
        """Whether what finished is the experiment of the launch, or said to be as good.

        The code may have changed between the launcher's look at it and the job's.
        """
        return self.stale == "keep" or not state.outdated(self.job, self.code)

    def settled(self, state: JobState) -> bool:
        """Whether there is nothing to attempt: finished, failed since the launch, or refused."""
        again = self.stale == "rerun" and state.outdated(self.job, self.code)
        finished = state.status == "finished" and not again
        return finished or state.failed_since(self.began) or self.refuses(state)

    def code_changed(self) -> str:
        """How the code differs from that of the launch, so that nothing may start; "": it may."""
        return "" if self.stale == "keep" else changed_since(self.code)

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> Self:
        values = json.loads(text)
        job, code = Job(**values.pop("job")), values.pop("code")
        job = replace(job, folder=Path(job.folder))
        return cls(job=job, code=None if code is None else Code(**code), **values)


class Attempt:
    """Runs one `Order`; `stop` may be called from a signal handler."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self._child: subprocess.Popen[bytes] | None = None
        self._stopping = self._told = False

    def run(self) -> int:
        """`train.py`'s exit code; `ELSEWHERE` where another process has the job.

        A folder that cannot be written to, or a disk that is full, ends this job with a line.
        """
        lock = None
        try:
            lock = claim(self.order.job.folder)
            return ELSEWHERE if lock is None else self._claimed(lock)
        except (OSError, UserError) as error:
            print(f"error: {self.order.job.name}: {error}", file=sys.stderr, flush=True)
            if lock is not None:
                with suppress(OSError, UserError):
                    self._leave("failed", str(error), 1)
            return 1
        finally:
            if lock is not None:
                os.close(lock)

    def stop(self) -> None:
        """Tell `train.py`, once, to stop as Ctrl-C does."""
        self._stopping = True
        self._tell()

    def stop_and_wait(self, patience_s: float) -> None:
        """As `stop`; returns when `train.py` ended. Not `wait`, which may be under way below."""
        self.stop()
        deadline = time.monotonic() + patience_s
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        with suppress(ChildProcessError):
            while self._child is not None and time.monotonic() < deadline:
                if os.waitid(os.P_PID, self._child.pid, flags) is not None:
                    return
                time.sleep(0.1)

    def _tell(self) -> None:
        if self._stopping and not self._told and self._child is not None:
            self._told = True
            self._child.send_signal(signal.SIGINT)

    def _claimed(self, lock: int) -> int:
        order, folder = self.order, self.order.job.folder
        state = read_state(folder)
        if order.settled(state):  # by another process, while this one waited
            if state.status != "finished" or order.refuses(state):
                return 1
            trim(folder, order.keep)
            return 0
        if self._stopping:
            return 128 + signal.SIGINT
        words = revealed(order.job.words)
        order = self.order = replace(order, job=replace(order.job, words=words))
        make_ready(order)
        before = _written(folder)
        code = self._train(lock)
        self._note(code, spoke=_written(folder) != before)
        return code

    def _train(self, lock: int) -> int:
        order, folder = self.order, self.order.job.folder
        about = json.dumps(job_variables(order.multirun, order.job))
        variables = {FOLDER: str(folder), JOB: about, "PYTHONUNBUFFERED": "1"} | order.variables
        with (folder / LOG).open("ab") as log:
            log.write(f"--- {time.strftime('%Y-%m-%d %H:%M:%S')}\n".encode())
            log.flush()
            self._child = subprocess.Popen(
                [*order.command, *order.job.words],
                env=os.environ | variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Should this process be killed alone, the claim lives on with the training.
                pass_fds=[lock],
            )
        self._tell()  # a signal may have come before there was anybody to tell
        try:
            return self._child.wait()
        except BaseException:  # submitit ends its own process like that
            self.stop()
            raise

    def _note(self, code: int, *, spoke: bool) -> None:
        """Leave in the folder how it ended, for whoever asks next.

        Args:
            code: what `train.py` ended with.
            spoke: whether it wrote to run.json; what stands there is an earlier session's if not.
        """
        folder = self.order.job.folder
        state = read_state(folder)
        if state.status == "finished":
            trim(folder, self.order.keep)
            return
        stopped = self._told or code in STOPPED
        reason = _reason(code, state.reason if spoke else None, folder)
        self._leave("stopped" if stopped else "failed", reason, code)

    def _leave(self, status: str, reason: str, code: int) -> None:
        redactor = Redactor({}, self.order.job.words, os.environ)
        outcome = {
            "status": status,
            "reason": redactor.text(reason),
            "exit_code": code,
            "ended": time.time(),
        }
        write_json(self.order.job.folder / OUTCOME, outcome)


def make_ready(order: Order) -> None:
    """Prepare the folder of a job that is claimed.

    Where a checkpoint is left there, `train.py` goes on from it by itself; else the folder is
    emptied, but for the log.
    """
    job, state = order.job, read_state(order.job.folder)
    other = state.other_config(job)  # such a run cannot be continued
    if other or (order.stale == "rerun" and state.outdated(job, order.code)):
        move_aside(job.folder)
        state = JobState("new")
    job.folder.mkdir(parents=True, exist_ok=True)
    (job.folder / OUTCOME).unlink(missing_ok=True)
    if state.resumable:
        return
    for path in job.folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != LOG:
            path.unlink()


def move_aside(folder: Path) -> Path:
    """Move a run folder to `.stale/<name>-<n>` beside it; returns where it went."""
    (folder.parent / STALE).mkdir(exist_ok=True)
    number = 1
    while (target := folder.parent / STALE / f"{folder.name}-{number}").exists():
        number += 1
    folder.rename(target)
    return target


def trim(folder: Path, keep: str) -> None:
    """Delete what `keep` does not ask for of a finished run: `all`, `weights` or `none`."""
    if keep != "all":
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    if keep == "none":
        for name in ("weights", "backbone"):
            (folder / f"{name}.safetensors").unlink(missing_ok=True)


def _written(folder: Path) -> int:
    record = folder / "run.json"
    return record.stat().st_mtime_ns if record.exists() else 0


def _reason(code: int, recorded: str | None, folder: Path) -> str:
    if recorded:
        return recorded
    if code < 0:
        name = signal.Signals(-code).name
        return f"killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
    with (folder / LOG).open("rb") as log:
        log.seek(max(log.seek(0, os.SEEK_END) - 4096, 0))
        lines = [line.strip() for line in log.read().decode(errors="replace").splitlines()]
    said = next((line for line in reversed(lines) if line and not line.startswith("---")), "")
    return said[:200] or f"exit code {code}"

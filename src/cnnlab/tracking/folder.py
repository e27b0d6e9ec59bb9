"""Run folders: a new one for each run, found again to be continued, written to by one process."""

import fcntl
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnnlab.atomic import sweep
from cnnlab.errors import UserError
from cnnlab.tracking.identity import differences
from cnnlab.tracking.reading import RunData, read_run

SHARED = "CNNLAB_RUN_FOLDER"
"""The variable by which the first process tells those it starts which folder they work for."""


JOB_FOLDER = "CNNLAB_JOB_FOLDER"
"""The variable by which a multirun tells a job's process which run folder is its own."""


def global_rank() -> int:
    """This process's number among those of a run, before any process group exists.

    Lightning's launcher sets LOCAL_RANK and NODE_RANK, torchrun RANK, SLURM SLURM_PROCID.
    """
    environ = os.environ
    if "RANK" in environ:
        return int(environ["RANK"])
    if "LOCAL_RANK" in environ:  # only whether it is 0 matters here
        return int(environ["LOCAL_RANK"]) + int(environ.get("NODE_RANK", 0))
    return int(environ.get("SLURM_PROCID", 0))


def create(parent: Path, seed: int) -> Path:
    """Make `parent/<NNN>-s<seed>`; NNN is the next free number, also among processes at once."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        writable = os.access(parent, os.W_OK)
    except OSError as error:
        raise UserError(f"runs: {parent} cannot be made ({error.strerror})") from error
    if not writable:
        raise UserError(f"runs: {parent} cannot be written to")
    taken = [int(m[1]) for p in parent.iterdir() if (m := re.match(r"(\d+)-s\d+$", p.name))]
    number = max(taken, default=0) + 1
    while True:
        # The number is claimed, not the name: two seeds that start at once get two numbers.
        claim = parent / f".{number:03}"
        try:
            claim.mkdir()
        except FileExistsError:
            number += 1
            continue
        try:
            if any(parent.glob(f"{number:03}-s*")):
                number += 1
                continue
            folder = parent / f"{number:03}-s{seed}"
            folder.mkdir()
            return folder
        finally:
            claim.rmdir()


def job_folder() -> Path | None:
    """The folder that a multirun gave this process; None for a run of its own."""
    given = os.environ.get(JOB_FOLDER)
    return Path(given) if given else None


def half_done(folder: Path) -> bool:
    """Whether the run in `folder` can go on.

    Raises:
        UserError: it is finished.
    """
    if not (folder / "run.json").is_file():
        return False
    if read_run(folder).status == "finished":
        raise UserError(f"{JOB_FOLDER}={folder}: this run is finished")
    return (folder / "checkpoints" / "last.ckpt").is_file()


def take(folder: Path) -> int:
    """Make `folder` a new run's; what a run left that ended before its first epoch did is deleted.

    Returns the lock, as `lock`.

    Raises:
        UserError: another process works there, or left a run to go on with; it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"runs: {folder} cannot be made ({error.strerror})") from error
    handle = lock(folder)
    try:
        if half_done(folder):
            raise UserError(f"{folder}: another process worked on this run; repeat the command")
    except UserError:
        os.close(handle)
        raise
    for name in ("metrics.csv", "results.json"):
        (folder / name).unlink(missing_ok=True)
    return handle


def check_resumable(folder: Path) -> RunData:
    """The record of the run in `folder`, if it can be continued at all; no data has to be read.

    Raises:
        UserError: no run there; already finished; no checkpoint.
    """
    if not (folder / "run.json").is_file():
        raise UserError(f"resume={folder}: not a run folder (run.json is missing)")
    run = read_run(folder)
    if run.status == "finished":
        raise UserError(
            f"resume={folder}: already finished, and a run's length is part of what it is; train "
            f"on in a new run from its weights: model.weights={folder}, or test it again: "
            f"python -m cnnlab test {folder}"
        )
    if not (folder / "checkpoints" / "last.ckpt").is_file():
        raise UserError(
            f"resume={folder}: no checkpoints/last.ckpt, the run ended before its first epoch did; "
            "leave resume out to start a new run"
        )
    return run


def check_same(folder: Path, run: RunData, config: Mapping[str, Any]) -> None:
    """Whether `run`, of `folder`, can be continued under `config` (as written).

    Raises:
        UserError: another config.
    """
    if changed := differences(config, run.config):
        listed = [f"{key}={_short(new)} (was {_short(old)})" for key, (new, old) in changed.items()]
        more = f" and {len(listed) - 8} more" if len(listed) > 8 else ""
        raise UserError(
            f"resume={folder}: the config differs from the run's: {', '.join(listed[:8])}{more}; "
            "give the words of its first start, or start a new run"
        )


def lock(folder: Path, patience_s: float = 10.0) -> int:
    """Be the only writer of `folder` until the returned file descriptor is closed.

    The kernel lets go when the process dies, however it dies; a killed run's loader workers, which
    hold the lock as well, end a few seconds after it. Leftovers are swept.

    Raises:
        UserError: another process is writing there.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < deadline:
                time.sleep(0.1)
                continue
            os.close(handle)
            raise UserError(f"{folder}: another process is working on this run") from None
        except OSError:
            pass  # a file system without locks
        sweep(folder)
        return handle


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else text[:37] + "..."

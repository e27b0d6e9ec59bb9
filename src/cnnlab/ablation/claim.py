"""Who works on a job: one process at a time, over all launchers that share the folder."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cnnlab.errors import UserError
from cnnlab.tracking.multirun import LAUNCHER

LOCKS = ".locks"
"""Beside the run folders; empty files that stay, since removing a lock file loses locks."""
_TRIES, _AGAIN_S = 5, 0.1
"""Who only asks whether a launcher is at work holds its lock for a moment."""


def claim(folder: Path) -> int | None:
    """The job in `folder` becomes this process's; None where another has it.

    Returns a file descriptor. The claim ends when it is closed here and in all processes that
    inherited it: the kernel lets go however they die.

    Raises:
        UserError: a file system without locks, where two processes would write to one run.
    """
    path = folder.parent / LOCKS / folder.name
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        _lock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, folder.parent)
    except BlockingIOError:
        os.close(handle)
        return None
    except UserError:
        os.close(handle)
        raise
    return handle


@contextmanager
def at_work(folder: Path, *, alone: bool = False) -> Iterator[None]:
    """A launcher is at work on the multirun in `folder`; several may be (`compare --watch` asks).

    Args:
        folder: of the multirun.
        alone: beside no other: what this one times means nothing beside the other's jobs.

    Raises:
        UserError: as `claim`; another launcher is at work, and one of the two has to be alone.
    """
    path = folder / LAUNCHER
    path.parent.mkdir(parents=True, exist_ok=True)
    how = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
    with path.open("w") as file:
        for left in reversed(range(_TRIES)):
            try:
                _lock(file.fileno(), how | fcntl.LOCK_NB, folder)
                break
            except BlockingIOError:
                if not left:
                    raise UserError(
                        f"{folder}: another launcher is at work there, and times are measured; "
                        "wait until it has ended, or stop it"
                    ) from None
                time.sleep(_AGAIN_S)
        yield


def disk_time(folder: Path) -> float:
    """Now, as the disk of the multirun in `folder` has it, in seconds since the epoch.

    Times of its files compare with that, also where a node's own clock is another than this one's.

    Raises:
        UserError: the folder cannot be made.
    """
    path = folder / LAUNCHER
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise UserError(f"runs: {folder} cannot be made ({error.strerror})") from error
    return path.stat().st_mtime


def is_claimed(folder: Path) -> bool:
    """Whether a process works on the job in `folder` now."""
    handle = claim(folder)
    if handle is not None:
        os.close(handle)
    return handle is None


def _lock(handle: int, how: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, how)
    except BlockingIOError:
        raise
    except OSError as error:
        raise UserError(
            f"runs: {folder} is on a file system without locks ({error.strerror}), so two "
            "processes could train one run; set runs= to another, or mount it with flock"
        ) from error

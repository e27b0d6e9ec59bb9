"""Who works on a job: one process at a time, over all launchers that share the folder."""

import fcntl
import os
from pathlib import Path

LOCKS = ".locks"
"""Beside the run folders; empty files that stay, since removing a lock file loses locks."""


def claim(folder: Path) -> int | None:
    """The job in `folder` becomes this process's; None where another has it.

    Returns a file descriptor. The claim ends when it is closed here and in all processes that
    inherited it: the kernel lets go however they die.
    """
    path = folder.parent / LOCKS / folder.name
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    except OSError:
        pass  # a file system without locks: the record's own exclusive folder has to do
    return handle


def is_claimed(folder: Path) -> bool:
    """Whether a process works on the job in `folder` now."""
    handle = claim(folder)
    if handle is not None:
        os.close(handle)
    return handle is None

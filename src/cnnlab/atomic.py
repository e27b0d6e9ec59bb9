"""Files that are whole or absent: written beside the target, flushed to disk, renamed over it."""

import errno
import json
import math
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cnnlab.errors import UserError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_PART = re.compile(r"\..+\.\d+\.part")


@contextmanager
def replacing(target: Path, needed: int) -> Iterator[Path]:
    """A path beside `target` to write to; on leaving it is flushed to disk and becomes `target`.

    After an error or a kill `target` is what it was before.

    Args:
        target: the file to be replaced or made.
        needed: bytes that will be written; said when the disk is full.

    Raises:
        UserError: the disk is full; `target` is a folder.
    """
    if target.is_dir():
        raise UserError(f"{target}: is a folder; name a file")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield part
        _flush(part)
        os.replace(part, target)
        _flush(target.parent)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, Exception) and is_disk_full(error, target.parent, needed):
            raise disk_full(target, needed) from error
        raise


def write_bytes(target: Path, data: bytes) -> None:
    """Replace `target` by `data`."""
    with replacing(target, len(data)) as part:
        part.write_bytes(data)


def write_json(target: Path, value: Any, indent: int | None = None) -> None:
    """Replace `target` by `value`; NaN and infinities become null, for strict JSON has none."""
    text = json.dumps(_strict(value), indent=indent, allow_nan=False)
    write_bytes(target, (text + "\n").encode())


def sweep(folder: Path) -> None:
    """Remove what killed processes left half written; the caller is the folder's only writer."""
    for path in folder.rglob(".*.part"):
        if _PART.fullmatch(path.name):
            path.unlink(missing_ok=True)


def is_disk_full(error: BaseException, folder: Path, needed: int) -> bool:
    """Whether `error` came from a full disk; libraries hide the error number in various ways."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _FULL:
            return True
        cause = cause.__cause__ or cause.__context__
    code = re.search(r"os error (\d+)", str(error))  # safetensors, written in Rust
    disk = shutil.disk_usage(folder)
    # What stands for no disk, such as /proc, has none that could be full.
    return bool(code and int(code[1]) in _FULL) or (disk.total > 0 and disk.free < needed)


def disk_full(target: Path, needed: int) -> UserError:
    """The error to raise: what could not be written, how much it needs, how much is free."""
    free = shutil.disk_usage(target.parent).free
    kept = "the old file is kept" if target.exists() else "nothing was written"
    return UserError(
        f"{target}: the disk is full: {_megabytes(needed)} needed, {_megabytes(free)} free; {kept}"
    )


def _strict(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.3g} MB"

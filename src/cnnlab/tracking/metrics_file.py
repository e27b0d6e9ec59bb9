"""`metrics.csv`: every number a run logged, one row each, appended and never changed."""

import csv
import io
import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from cnnlab.atomic import disk_full, is_disk_full, write_bytes

_HEADER = "step,epoch,time_s,key,value\n"


class Row(NamedTuple):
    """One logged number."""

    step: int
    """Optimizer steps done."""
    epoch: int
    """Epochs done before."""
    time_s: float
    """Seconds of running, all sessions of the run together."""
    key: str
    value: float


class MetricsFile:
    """Appends rows; each call is one write, so a kill can tear the last line only.

    A line torn by an earlier kill is cut off on opening.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle = -1
        kept = list(read_rows(path)) if path.exists() else []
        self.last_time_s = kept[-1].time_s if kept else 0.0
        self._rewrite(kept)

    def append(self, step: int, epoch: int, time_s: float, values: Mapping[str, float]) -> None:
        """Add one row a key.

        Raises:
            UserError: the disk is full.
        """
        start = f"{step},{epoch},{time_s:.3f},"
        data = "".join(
            f"{start}{_quote(key)},{value!r}\n" for key, value in values.items()
        ).encode()
        try:
            os.write(self._handle, data)
        except OSError as error:
            if is_disk_full(error, self.path.parent, len(data)):
                raise disk_full(self.path, len(data)) from error
            raise

    def drop_after(self, step: int) -> None:
        """Forget the rows of later steps: they were superseded by going back to `step`."""
        kept = [row for row in read_rows(self.path) if row.step <= step]
        self.last_time_s = kept[-1].time_s if kept else 0.0
        self._rewrite(kept)

    def close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _rewrite(self, rows: list[Row]) -> None:
        self.close()
        write_bytes(self.path, file_text(rows).encode())
        self._handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)


def file_text(rows: Iterable[Row]) -> str:
    """A whole file."""
    return _HEADER + "".join(
        f"{r.step},{r.epoch},{r.time_s:.3f},{_quote(r.key)},{r.value!r}\n" for r in rows
    )


def read_rows(path: Path) -> Iterator[Row]:
    """The rows in the order they were written; a torn last line is left out."""
    for step, epoch, time_s, key, value in split_rows(path.read_text()):
        yield Row(int(step), int(epoch), float(time_s), key, float(value))


def split_rows(text: str) -> Iterator[list[str]]:
    """The five words of each row of a file's `text`; a torn last line is left out."""
    whole = text[: text.rfind("\n") + 1]
    rows: Iterator[list[str]]
    if '"' in whole:
        rows = csv.reader(io.StringIO(whole))
    else:  # no key is quoted: faster, which counts where a thousand runs are compared
        rows = (line.split(",") for line in whole.split("\n")[:-1])
    next(rows, None)  # the header
    yield from rows


@cache
def _quote(key: str) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow([key])  # its line ends are what makes it quote those of a key
    return buffer.getvalue().removesuffix("\r\n")

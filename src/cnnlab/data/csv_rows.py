"""The table of a csv set: read, and checked as a whole before anything else happens."""

import csv
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from cnnlab.errors import UserError, nearest

SPLITS = ("train", "val", "test")
SEPARATOR = "|"
"""Between the labels of an image that has several."""

_NUM_SHOWN = 10


class Row(NamedTuple):
    """One line of the table."""

    path: str
    labels: tuple[str, ...]
    split: str


def read_rows(file: Path, root: Path) -> list[Row]:
    """The rows of `file`, a table with the columns path, label and perhaps split.

    Paths are relative to `root`, or absolute. Without the column split everything is train.

    Raises:
        UserError: no such file, no rows, a missing column, unknown splits, rows without a label
            though no row has several, paths that come twice, images that do not exist; the first
            ten of a kind and how many there are.
    """
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            table = csv.DictReader(stream, strict=True)
            columns = table.fieldnames or []
            for needed in ("path", "label"):
                if needed not in columns:
                    raise UserError(
                        f"{file} has no column '{needed}'; its first line names the columns "
                        f"({', '.join(columns)}); needed are path, label and perhaps "
                        f"split{nearest(needed, columns)}"
                    )
            lines = [(table.line_num, fields) for fields in table]
    except FileNotFoundError:
        raise UserError(
            f"data.file={file} not found; it is a table with the columns path, label and perhaps "
            "split (docs/data.md)"
        ) from None
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        raise UserError(f"data.file={file} cannot be read: {error}") from error
    if not lines:
        raise UserError(f"{file} has no rows")
    rows = [_row(fields) for _, fields in lines]
    numbered = list(zip((line for line, _ in lines), rows, strict=True))
    several = any(len(row.labels) > 1 for row in rows)
    _refuse(
        file,
        f"rows have a split that is none of {', '.join(SPLITS)}",
        (f"line {n}: '{row.split}'" for n, row in numbered if row.split not in SPLITS),
    )
    _refuse(
        file,
        "rows have no label",
        (f"line {n}: {row.path}" for n, row in numbered if not row.labels and not several),
    )
    first: dict[str, int] = {}
    _refuse(
        file,
        "paths come twice",
        (
            f"{row.path} in lines {first[row.path]} and {n}"
            for n, row in numbered
            if first.setdefault(row.path, n) != n
        ),
    )
    _refuse(
        file,
        f"images do not exist below data.root={root}",
        (row.path for row in rows if not os.path.isfile(os.path.join(root, row.path))),
    )
    return rows


def _row(fields: dict[str, str | None]) -> Row:
    labels = (fields["label"] or "").split(SEPARATOR)
    return Row(
        (fields["path"] or "").strip(),
        tuple(dict.fromkeys(word.strip() for word in labels if word.strip())),
        (fields.get("split", "train") or "").strip(),
    )


def _refuse(file: Path, fault: str, found: Iterable[str]) -> None:
    cases = list(found)
    if cases:
        more = f" and {len(cases) - _NUM_SHOWN} more" if len(cases) > _NUM_SHOWN else ""
        raise UserError(f"{file}: {len(cases)} {fault}: {', '.join(cases[:_NUM_SHOWN])}{more}")

"""Reads the folders that W&B leaves on disk, `wandb/offline-run-*` and `wandb/run-*`.

They hold all that was logged, whoever wrote them; no network, no W&B account and no code of theirs
is needed. Field numbers are those of wandb_internal.proto (wandb 0.31).
"""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cnnlab.errors import UserError
from cnnlab.tracking.wandb_log import fields, read_log, signed, zigzag
from cnnlab.tracking.wandb_parts import Part, flat

_HISTORY, _SUMMARY, _CONFIG, _METRIC, _RUN, _EXIT = 2, 3, 5, 12, 17, 18
"""Of a Record: one of them says what kind it is."""
_KNOWN = {2: "entity", 3: "project", 6: "group", 7: "job_type", 9: "notes"}
"""Texts of a RunRecord."""


_NO_VALUE = object()
_UNLIKE = (ValueError, TypeError, AttributeError, IndexError, RecursionError, struct.error)
"""What a message raises that is not what its number says."""


def read_part(file: Path, warn: Callable[[str], None]) -> Part:
    """The run in one of W&B's files, or the session of it that the file holds.

    Args:
        file: `wandb/offline-run-DATE_TIME-ID/run-ID.wandb`.
        warn: is told of damage; the end torn by a kill is none.

    Raises:
        UserError: not W&B's format, or nothing of the run in it.
    """
    log = read_log(file)
    part = Part(file.parent, id="")
    summary: dict[str, Any] = {}
    unreadable = 0
    for record in log.records:
        try:
            for number, body in fields(record):
                if number == _HISTORY:
                    part.rows.append(_row(body))
                    summary |= part.rows[-1]
                elif number in (_SUMMARY, _CONFIG):
                    _change(summary if number == _SUMMARY else part.config, body, number)
                elif number == _METRIC:
                    _metric(part, body)
                elif number == _RUN:
                    _run(part, summary, body)
                elif number == _EXIT:
                    _exit(part, body)
        except _UNLIKE:
            unreadable += 1
    if not part.id:
        raise UserError(f"{file}: nothing of a run in it; it ended as it began, or is damaged")
    if log.damaged or unreadable:
        warn(f"{file}: {log.damaged + unreadable} records cannot be read and are left out")
    part.config.pop("_wandb", None)
    part.summary = flat(summary.items())
    return part


def _row(body: bytes) -> dict[str, Any]:
    """A HistoryRecord: items (1) and, in a message of its own, the step (2)."""
    items: list[tuple[str, Any]] = []
    for number, value in fields(body):
        if number == 1:
            path, logged = _item(value)
            if logged is _NO_VALUE:
                raise ValueError("a value in a form that is not known")
            items.append((".".join(path), logged))
        elif number == 2:
            items.append(("_step", signed(next((v for n, v in fields(value) if n == 1), 0))))
    return flat(items)


def _item(body: bytes) -> tuple[list[str], Any]:
    """A HistoryItem, SummaryItem or ConfigItem: its keys from the outermost on, and its value."""
    path: list[str] = []
    value: Any = _NO_VALUE
    for number, raw in fields(body):
        if number in (1, 2):
            path.append(raw.decode())
        elif number in (8, 16):  # JSON, the only form up to wandb 0.31
            value = json.loads(raw.decode())
        elif number == 3:
            value = None
        elif number == 4:
            value = bool(raw)
        elif number == 5:
            value = zigzag(raw)
        elif number == 6:
            (value,) = struct.unpack("<d", raw)
        elif number == 7:
            value = raw.decode()
    return path, value


def _change(target: dict[str, Any], body: bytes, kind: int) -> None:
    """Apply a SummaryRecord (flat) or a ConfigRecord (nested): updates (1), removals (2)."""
    for number, raw in fields(body):
        if number not in (1, 2):
            continue
        path, value = _item(raw)
        if kind == _SUMMARY:
            path = [".".join(path)]
        node = target
        for key in path[:-1]:
            if not isinstance(node.get(key), dict):
                node[key] = {}
            node = node[key]
        if number == 1:
            node[path[-1]] = value
        else:
            node.pop(path[-1], None)


def _metric(part: Part, body: bytes) -> None:
    """A MetricRecord, from `define_metric`: name (1) or pattern (2), and its axis (4)."""
    texts = {n: v.decode() for n, v in fields(body) if n in (1, 2, 4)}
    if axis := texts.get(4):
        part.axes[texts.get(1) or texts.get(2, "")] = axis


def _run(part: Part, summary: dict[str, Any], body: bytes) -> None:
    """A RunRecord; a later one repeats it with what was changed."""
    tags = []
    for number, value in fields(body):
        if number == 1:
            part.id = value.decode()
        elif number in _KNOWN:
            part.known[_KNOWN[number]] = value.decode()
        elif number == 4:
            _change(part.config, value, _CONFIG)
        elif number == 5:
            _change(summary, value, _SUMMARY)
        elif number == 8:
            part.name = value.decode()
        elif number == 10:
            tags.append(value.decode())
        elif number == 17:  # google.protobuf.Timestamp: seconds (1), nanoseconds (2)
            when = dict(fields(value))
            part.started = signed(when.get(1, 0)) + when.get(2, 0) / 1e9
        elif number == 21:  # GitRepoRecord: remote (1), commit (2)
            part.commit = dict(fields(value)).get(2, b"").decode() or None
    part.known["tags"] = tags


def _exit(part: Part, body: bytes) -> None:
    """A RunExitRecord: exit code (1), seconds of running (2)."""
    known = dict(fields(body))
    code = signed(known.get(1, 0))
    part.known["exit_code"] = code
    part.runtime_s = float(signed(known.get(2, 0))) or None
    # W&B's hook gives 255 to a Ctrl-C.
    part.status = {0: "finished", 255: "stopped"}.get(code, "failed")
    part.reason = None if code == 0 else f"W&B: exit code {code}"

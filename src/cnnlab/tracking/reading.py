"""Reads a run folder back."""

import csv
import dataclasses
import json
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from cnnlab.errors import UserError
from cnnlab.tracking.machine_paths import restore
from cnnlab.tracking.metrics_file import split_rows

SCHEMA = 1
"""Of run.json; a reader refuses a newer one."""


@dataclass
class History:
    """One metric over a run; the lists are equally long and in the order of steps."""

    steps: list[int] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)


@dataclass
class RunData:
    """What a run folder says; see docs/record.md for every field.

    Of a run that only W&B knows (`wandb` is not None) `identity` is empty and what it does not
    tell is empty or None; its `folder` is W&B's own, or `wandb:ENTITY/PROJECT/ID`.
    """

    folder: Path
    status: str
    reason: str | None
    name: str
    identity: str
    seed: int | None
    choices: dict[str, str]
    overrides: list[str]
    config: dict[str, Any]
    data: dict[str, Any]
    metrics: dict[str, float | None]
    results: dict[str, Any]
    best: dict[str, Any] | None
    tested: str | None
    cost: dict[str, float | None]
    time: dict[str, Any]
    environment: dict[str, Any]
    git: dict[str, Any] | None
    weights: str | None
    parent: dict[str, Any] | None
    wandb_id: str | None
    machine: dict[str, Any]
    history: dict[str, History]
    job: dict[str, Any] | None = None
    """What of a multirun this is: `name` of the ablation or grid, `arm`, ..."""
    wandb: dict[str, Any] | None = None
    """`entity`, `project`, `group`, `job_type`, `tags`, `notes`, `exit_code` at W&B."""


_STORED = [f for f in dataclasses.fields(RunData) if f.name not in ("folder", "results", "history")]
_REQUIRED = [
    f.name for f in _STORED if f.default is dataclasses.MISSING and f.name != "machine"
]  # a record that is shared has no `machine`
_MAPPINGS = ("choices", "config", "data", "metrics", "cost", "time", "environment")


def read_run(folder: Path) -> RunData:
    """The record in `folder`, with absolute paths put back where they stood.

    Raises:
        UserError: no run there, one that is not whole, or one written by a newer cnnlab.
    """
    stored = _read_json(folder / "run.json")
    if stored.get("schema", SCHEMA + 1) > SCHEMA:
        raise UserError(f"{folder}/run.json: written by a newer cnnlab (schema above {SCHEMA})")
    for key in _REQUIRED:
        if key not in stored:
            raise UserError(f"{folder}/run.json: not a whole record ({key} is missing)")
    for key in _MAPPINGS:
        if not isinstance(stored[key], dict):
            raise UserError(f"{folder}/run.json: {key} is not a mapping")
    stored["machine"] = stored.get("machine") or {}
    paths = stored["machine"].get("paths", {})
    fields = {f.name: stored[f.name] for f in _STORED if f.name in stored}
    if paths:
        fields = {key: restore(value, paths) for key, value in fields.items()}
    results = folder / "results.json"
    return RunData(
        folder=folder,
        results=_read_json(results) if results.exists() else {},
        history=read_history(folder / "metrics.csv"),
        **fields,
    )


def read_history(path: Path) -> dict[str, History]:
    """Every metric of a `metrics.csv`; of two values at one step the later one counts.

    Raises:
        UserError: a line that is no row; a torn last line is left out.
    """
    try:
        text = path.read_text()
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError:
        raise UserError(f"{path}: not text") from None
    columns: dict[str, list[tuple[str, str, str, str]]] = {}
    row: list[str] = []
    try:
        for row in split_rows(text):
            step, epoch, time_s, key, value = row
            columns.setdefault(key, []).append((step, epoch, time_s, value))
        return {key: _history(rows) for key, rows in columns.items()}
    except (ValueError, csv.Error) as error:
        where = f"'{','.join(row)[:80]}' is no row of metrics" if len(row) != 5 else str(error)
        raise UserError(f"{path}: {where}") from None


def in_steps(one: History) -> History:
    """Ordered by step, each step once: of two values the later one counts."""
    if all(a < b for a, b in pairwise(one.steps)):
        return one
    latest = {step: at for at, step in enumerate(one.steps)}
    order = [latest[step] for step in sorted(latest)]
    return History(
        [one.steps[i] for i in order],
        [one.epochs[i] for i in order],
        [one.times_s[i] for i in order],
        [one.values[i] for i in order],
    )


def _history(rows: list[tuple[str, str, str, str]]) -> History:
    steps, epochs, times_s, values = zip(*rows, strict=True)
    return in_steps(
        History(
            list(map(int, steps)),
            list(map(int, epochs)),
            list(map(float, times_s)),
            list(map(float, values)),
        )
    )


def _read_json(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{file.parent}: not a run folder ({file.name} is missing)") from None
    except ValueError as error:  # not JSON, or not text
        raise UserError(f"{file}: not JSON ({error})") from None
    if not isinstance(value, dict):
        raise UserError(f"{file}: not a JSON object")
    return value

"""Reads a run folder back."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cnnlab.errors import UserError
from cnnlab.tracking.machine_paths import restore
from cnnlab.tracking.metrics_file import read_rows

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
    """What a run folder says; see docs/record.md for every field."""

    folder: Path
    status: str
    reason: str | None
    name: str
    identity: str
    seed: int
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


def read_run(folder: Path) -> RunData:
    """The record in `folder`, with absolute paths put back where they stood.

    Raises:
        UserError: no run there, or one written by a newer cnnlab.
    """
    try:
        stored = json.loads((folder / "run.json").read_text())
    except FileNotFoundError:
        raise UserError(f"{folder}: not a run folder (run.json is missing)") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{folder}/run.json: not JSON ({error})") from None
    if stored.get("schema", SCHEMA + 1) > SCHEMA:
        raise UserError(f"{folder}/run.json: written by a newer cnnlab (schema above {SCHEMA})")
    paths = stored["machine"]["paths"]
    fields = {key: restore(value, paths) for key, value in stored.items() if key != "schema"}
    results = folder / "results.json"
    return RunData(
        folder=folder,
        results=json.loads(results.read_text()) if results.exists() else {},
        history=read_history(folder / "metrics.csv"),
        **fields,
    )


def read_history(path: Path) -> dict[str, History]:
    """Every metric of a `metrics.csv`; of two values at one step the later one counts."""
    latest = {(row.key, row.step): row for row in read_rows(path)} if path.exists() else {}
    history: dict[str, History] = {}
    for row in sorted(latest.values(), key=lambda row: row.step):
        one = history.setdefault(row.key, History())
        one.steps.append(row.step)
        one.epochs.append(row.epoch)
        one.times_s.append(row.time_s)
        one.values.append(row.value)
    return history

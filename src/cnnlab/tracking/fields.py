"""What `run.json` says of a run: everything but what it measures later (docs/record.md)."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cnnlab.tracking.environment import environment, git, machine
from cnnlab.tracking.identity import identity
from cnnlab.tracking.reading import RunData, read_run
from cnnlab.tracking.redact import Redactor

JOB = "CNNLAB_JOB"
"""The variable by which a multirun tells a job's process what it is a job of: a JSON object with
its `name`, the `arm`, and the `identity` of the config as it was planned."""


def starting_fields(
    config: Mapping[str, Any],
    choices: Mapping[str, str | None],
    overrides: Sequence[str],
    redactor: Redactor,
    folder: Path,
    earlier: RunData | None,
) -> dict[str, Any]:
    """All fields in their order; a run that is continued keeps what it measured `earlier`."""
    words = [_model(config, choices), choices["data"], folder.name, config["name"]]
    repository = redactor.facts(git())
    return {
        "status": "running",
        "reason": None,
        "name": redactor.text("-".join(word for word in words if word)),
        "identity": identity(config),
        "seed": config["seed"],
        "job": _job(),
        "metrics": earlier.metrics if earlier else {},
        "best": earlier.best if earlier else None,
        "tested": None,
        "cost": earlier.cost if earlier else {},
        "time": _time(earlier, repository),
        "data": earlier.data if earlier else {},
        "weights": earlier.weights if earlier else None,
        "parent": _parent(config["model"].get("weights")),
        "wandb_id": earlier.wandb_id if earlier else None,
        "overrides": [redactor.text(w) for w in overrides if not w.startswith("resume=")],
        "choices": dict(choices),
        "config": redactor.config(config),
        "environment": environment(config["trainer"]["threads"]),
        "git": repository,
        "machine": redactor.config(machine()),
    }


def _job() -> dict[str, Any] | None:
    """Which multirun's job this is, and which arm of it; the multirun says it."""
    said = os.environ.get(JOB)
    return json.loads(said) if said else None


def group(config: Mapping[str, Any], choices: Mapping[str, str | None]) -> str:
    """`<data>-<model>`: the folder of a run's folder, and its group at W&B."""
    return f"{choices['data']}-{_model(config, choices)}"


def now() -> str:
    """ISO 8601, UTC, seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _time(earlier: RunData | None, repository: Mapping[str, Any] | None) -> dict[str, Any]:
    """A run that is resumed on other code says so in its sessions."""
    start = now()
    kept = ("commit", "dirty", "diff")
    session = {"started": start} | {key: (repository or {}).get(key) for key in kept}
    before = earlier.time if earlier else {"started": start, "sessions": []}
    return {
        "started": before["started"],
        "ended": None,
        "total_s": 0.0,
        "sessions": [*before["sessions"], session],
    }


def _model(config: Mapping[str, Any], choices: Mapping[str, str | None]) -> str:
    """The config's file name; `model=timm` serves many nets, so there the net's own name."""
    chosen = choices["model"]
    name = config["model"]["name"] if chosen == "timm" else chosen
    return re.sub(r"[^\w.+-]+", "_", str(name))


def _parent(weights: str | None) -> dict[str, Any] | None:
    """The run that the weights at the start came from, if they came from one."""
    if weights is None:
        return None
    path = Path(weights)
    for folder in (path, *path.parents[:2]):
        if (folder / "run.json").is_file():
            run = read_run(folder)
            return {"folder": str(folder), "name": run.name, "identity": run.identity}
    return None

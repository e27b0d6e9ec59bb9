"""Reads runs from Weights & Biases' server, through its public API."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cnnlab.errors import UserError
from cnnlab.tracking.wandb_access import first_line, unusable
from cnnlab.tracking.wandb_parts import Part, flat

PREFIX = "wandb:"
_PER_PAGE = 100
_TIMEOUT_S = 30
_STATUS = {"finished": "finished", "failed": "failed", "crashed": "failed", "killed": "stopped"}
"""Of W&B's states; all others are of runs that go on."""


def read_parts(where: str, warn: Callable[[str], None], api: Any = None) -> list[Part]:
    """All runs of a project or of one of its groups, oldest first, with their whole history.

    Args:
        where: `wandb:ENTITY/PROJECT` or `wandb:ENTITY/PROJECT/GROUP`.
        warn: is told which runs could not be read.
        api: a `wandb.Api`; None: one is made, for whoever is logged in.

    Raises:
        UserError: not such a name; not logged in; no answer; no such project.
    """
    entity, project, group = _split(where)
    api = _api(where) if api is None else api
    filters = {"group": group} if group else {}
    parts = []
    try:
        # `lazy=False`: config and summary come with each page, else one more request a run.
        for run in api.runs(f"{entity}/{project}", filters=filters, per_page=_PER_PAGE, lazy=False):
            try:
                parts.append(_part(run, f"{PREFIX}{entity}/{project}/{run.id}"))
            # W&B raises whatever its parts do, and the other runs may be fine.
            except Exception as error:
                warn(f"{PREFIX}{entity}/{project}/{run.id}: cannot be read ({first_line(error)})")
    except Exception as error:  # as above
        raise UserError(f"{where}: W&B does not give it ({first_line(error)})") from error
    return parts


def _split(where: str) -> tuple[str, str, str | None]:
    words = where.removeprefix(PREFIX).split("/", 2)
    if len(words) < 2 or not all(word.strip() for word in words):
        raise UserError(f"{where}: must be {PREFIX}ENTITY/PROJECT or {PREFIX}ENTITY/PROJECT/GROUP")
    return words[0], words[1], words[2] if len(words) == 3 else None


def _api(where: str) -> Any:
    import wandb

    problem = unusable()
    if problem is not None:
        raise UserError(
            f"{where}: {problem}; run folders and W&B's offline folders can be compared without it"
        )
    try:
        return wandb.Api(timeout=_TIMEOUT_S)
    except Exception as error:  # W&B raises whatever its parts do
        raise UserError(f"{where}: W&B does not take the log-in ({first_line(error)})") from error


def _part(run: Any, name: str) -> Part:
    """One `wandb.apis.public.Run`."""
    rows = [flat(row.items()) for row in run.scan_history()]
    summary = flat(run.summary_metrics.items())
    status = _STATUS.get(run.state, "running")
    created = getattr(run, "created_at", None)
    runtime = summary.get("_runtime")
    return Part(
        folder=Path(name),
        id=run.id,
        name=run.name or "",
        known={
            "entity": run.entity,
            "project": run.project,
            # Left out by the server where the run has none.
            **{key: getattr(run, key, None) for key in ("group", "job_type", "notes")},
            "tags": list(getattr(run, "tags", None) or []),
        },
        config={key: value for key, value in run.config.items() if key != "_wandb"},
        rows=rows,
        summary=summary,
        status=status,
        reason=f"W&B: {run.state}" if status in ("failed", "stopped") else None,
        started=_seconds(created) if created else None,
        runtime_s=float(runtime) if isinstance(runtime, int | float) else None,
        commit=getattr(run, "commit", None),
    )


def _seconds(created: str) -> float:
    """Since 1970; W&B's times are UTC, with or without saying so."""
    when = datetime.fromisoformat(created)
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()

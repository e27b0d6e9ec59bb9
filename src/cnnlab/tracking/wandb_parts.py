"""What W&B knows of a run, made into the record that cnnlab's own runs have."""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from cnnlab.tracking.identity import leaves
from cnnlab.tracking.reading import History, RunData, in_steps
from cnnlab.tracking.settings import names_seed

LIGHTNING_STEP = "trainer/global_step"
"""What Lightning's and cnnlab's W&B loggers count steps by."""
_INTERNAL = ("_step", "_runtime", "_timestamp")
_WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}  # where JSON has no number


@dataclass
class Part:
    """One session of a W&B run: a folder on disk, or all of a run at the server.

    Attributes:
        folder: where it lies; `wandb:ENTITY/PROJECT/ID` at the server.
        id: of the run; parts of one run share it.
        name: as shown; may be empty.
        known: `entity`, `project`, `group`, `job_type`, `tags`, `notes`, `exit_code`.
        config: as the user gave it.
        rows: what was logged, a flat mapping a step (see `flat`), with W&B's `_step`, `_runtime`.
        summary: the newest value of every key, flat.
        axes: the key that counts the steps of a key, or of a pattern (`define_metric`).
        status: `running` (also killed), `finished`, `failed` or `stopped`.
        started: seconds since 1970; None: unknown.
        runtime_s: seconds of running; None: unknown.
        commit: of the code.
    """

    folder: Path
    id: str
    name: str = ""
    known: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    axes: dict[str, str] = field(default_factory=dict)
    status: str = "running"
    reason: str | None = None
    started: float | None = None
    runtime_s: float | None = None
    commit: str | None = None


def flat(items: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Nested mappings as W&B names them, `a.b`; pictures, tables and other media are left out."""
    row: dict[str, Any] = {}
    media = set()
    for key, value in items:
        if isinstance(value, dict):
            if "_type" not in value:
                row |= flat((f"{key}.{inner}", item) for inner, item in value.items())
        elif key.endswith("._type"):
            media.add(key.removesuffix("_type"))
        else:
            row[key] = value
    if media:
        row = {k: v for k, v in row.items() if not k.startswith(tuple(media))}
    return row


def run_data(parts: Sequence[Part], warn: Callable[[str], None]) -> RunData:
    """The run that `parts` are sessions of.

    Of every metric a later part replaces what an earlier one logged from the step on at which the
    later one begins: it went back there. Config and outcome are the last part's.

    Args:
        parts: at least one, of one id.
        warn: is told what had to be left out.
    """
    parts = sorted(parts, key=lambda part: part.started or 0.0)
    last = parts[-1]
    config: dict[str, Any] = {}
    history: dict[str, History] = {}
    metrics: dict[str, Any] = {}
    running_s = 0.0
    for number, part in enumerate(parts, start=1):
        config |= part.config
        axes = {LIGHTNING_STEP, *part.axes.values()}
        columns = {"epoch", *axes}
        superseded = _continue(history, _history(part, columns, running_s))
        if (
            superseded
            and part.rows[0].get("_step") == 0
            and not any(axes & r.keys() for r in part.rows)
        ):
            warn(
                f"{part.folder}: part {number} of W&B run {part.id} counts its steps from 0 again; "
                f"{superseded} values of the parts before are left out"
            )
        newest = part.summary | {k: v for k, v in _last(part).items() if k not in part.summary}
        metrics |= {
            key: value
            for key, raw in newest.items()
            if key not in columns and not _internal(key) and (value := number_of(raw)) is not None
        }
        running_s += _runtime(part)
    # What cnnlab's mirror adds to the config of the record.
    ours = {key: config.pop(key) for key in _OURS if key in config} if is_mirror(config) else {}
    known = _of_record(ours.get("record"))
    finite = {key: value if math.isfinite(value) else None for key, value in metrics.items()}
    commit = next((part.commit for part in reversed(parts) if part.commit), None)
    git = ours.get("git") or ({"commit": commit, "dirty": None} if commit else None)
    return RunData(
        folder=last.folder,
        status=last.status,
        reason=last.reason,
        name=last.name or last.id,
        identity=ours.get("identity", ""),
        seed=_seed_of(config),
        choices=ours.get("choices", {}),
        overrides=ours.get("overrides", []),
        config=config,
        data={},
        metrics={k: v for k, v in finite.items() if not k.startswith("cost/")},
        results={},
        best=known.get("best"),
        tested=known.get("tested"),
        cost={k: v for k, v in finite.items() if k.startswith("cost/")},
        time={
            "started": _iso(parts[0].started),
            "ended": _iso(_end(last)),
            "total_s": round(running_s, 3),
            "sessions": [{"started": _iso(part.started), "commit": part.commit} for part in parts],
        },
        environment=ours.get("environment", {}),
        git=git,
        weights=None,
        parent=None,
        wandb_id=last.id,
        machine={},
        history=history,
        job=known.get("job"),
        wandb={key: value for part in parts for key, value in part.known.items()},
    )


_OURS = ("identity", "choices", "overrides", "git", "environment", "record")


def is_mirror(config: dict[str, Any]) -> bool:
    """Whether W&B's config is one that cnnlab wrote there."""
    found = {key: config.get(key) for key in ("choices", "git", "environment")}
    return isinstance(config.get("identity"), str) and all(
        isinstance(value, dict) for value in found.values()
    )


def _of_record(said: Any) -> dict[str, Any]:
    """`job`, `best` and `tested`, where they are as cnnlab writes them; older mirrors have none."""
    known: dict[str, Any] = {}
    if not isinstance(said, dict):
        return known
    job, best, tested = said.get("job"), said.get("best"), said.get("tested")
    if isinstance(job, dict) and all(isinstance(job.get(key), str) for key in ("name", "arm")):
        known["job"] = job
    if isinstance(best, dict) and _whole(best.get("step")) is not None:
        known["best"] = best
    if tested in ("best", "last"):
        known["tested"] = tested
    return known


def number_of(value: Any) -> float | None:
    """A logged value as a number; None where it is none (texts, lists, truth values)."""
    if isinstance(value, str):
        return _WORDS.get(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _history(part: Part, columns: set[str], before_s: float) -> dict[str, History]:
    history: dict[str, History] = {}
    axis_of: dict[str, str] = {}
    usable = {
        axis: all(_whole(r[axis]) is not None for r in part.rows if axis in r) for axis in columns
    }
    at: dict[str, int] = {}  # the newest value of each axis: W&B keeps it for rows without one
    epoch = 0
    for index, row in enumerate(part.rows):
        own_step = _whole(row.get("_step"))
        own_step = index if own_step is None else own_step
        epoch_value = number_of(row.get("epoch"))
        if epoch_value is not None and math.isfinite(epoch_value):
            epoch = int(epoch_value)
        time_s = before_s + (number_of(row.get("_runtime")) or 0.0)
        at |= {a: int(row[a]) for a in columns if a in row and usable[a]}
        lightning = at[LIGHTNING_STEP] if LIGHTNING_STEP in row and usable[LIGHTNING_STEP] else None
        for key, raw in row.items():
            if key in columns or _internal(key):
                continue
            value = number_of(raw)
            if value is None:
                continue
            one = history.get(key)
            if one is None:
                one = history[key] = History()
                axis_of[key] = _axis(part.axes, key)
            step = at.get(axis_of[key], own_step if lightning is None else lightning)
            one.steps.append(step)
            one.epochs.append(epoch)
            one.times_s.append(time_s)
            one.values.append(value)
    return {key: in_steps(one) for key, one in history.items()}


def _axis(axes: dict[str, str], key: str) -> str:
    """The key that counts the steps of `key`; an exact name goes before a pattern."""
    if key in axes:
        return axes[key]
    return next((axis for name, axis in axes.items() if fnmatchcase(key, name)), "")


def _continue(history: dict[str, History], later: dict[str, History]) -> int:
    """Append `later`; returns how many values of `history` it replaced or dropped."""
    superseded = 0
    for key, new in later.items():
        old = history.get(key, History())
        kept = bisect_left(old.steps, new.steps[0])
        superseded += len(old.steps) - kept
        history[key] = History(
            old.steps[:kept] + new.steps,
            old.epochs[:kept] + new.epochs,
            old.times_s[:kept] + new.times_s,
            old.values[:kept] + new.values,
        )
    return superseded


def _internal(key: str) -> bool:
    return key[:1] == "_" and (key in _INTERNAL or key.startswith("_wandb"))


def _last(part: Part) -> dict[str, Any]:
    return {key: value for row in part.rows for key, value in row.items()}


def _whole(value: Any) -> int | None:
    number = number_of(value)
    return int(number) if number is not None and number.is_integer() else None


def _seed_of(config: dict[str, Any]) -> int | None:
    """`seed`, else the only seed there is at any depth; of several none is the run's."""
    if (own := _seed(config.get("seed"))) is not None:
        return own
    found = [_seed(value) for key, value in leaves(config).items() if names_seed(key)]
    known = {seed for seed in found if seed is not None}
    return known.pop() if len(known) == 1 else None


def _seed(value: Any) -> int | None:
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    return _whole(value)


def _runtime(part: Part) -> float:
    if part.runtime_s is not None:
        return part.runtime_s
    return max((number_of(row.get("_runtime")) or 0.0 for row in part.rows), default=0.0)


def _end(part: Part) -> float | None:
    if part.started is None or part.status == "running":
        return None
    return part.started + _runtime(part)


def _iso(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):  # no year that there is
        return None

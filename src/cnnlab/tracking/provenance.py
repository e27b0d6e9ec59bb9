"""What a comparison rests on: commits, hardware, data, time."""

import math
from collections.abc import Iterable, Sequence

from cnnlab.tracking.comparison import Group, Meta
from cnnlab.tracking.fairness import hardware
from cnnlab.tracking.multirun import Multirun
from cnnlab.tracking.naming import some
from cnnlab.tracking.reading import RunData


def meta(runs: Sequence[RunData], groups: Sequence[Group], several: Sequence[Multirun]) -> Meta:
    """Of the runs that count; `runs` are all that were found."""
    used = [run for g in groups for run in g.runs]
    names = [m.name for m in several] if several else [_study(run) for run in runs]
    started = [run.time["started"] for run in used if run.time.get("started")]
    ended = [run.time["ended"] for run in used if run.time.get("ended")]
    return Meta(
        title=some(list(dict.fromkeys(names))) or "runs",
        found=len(runs),
        used=len(used),
        commits=_each(_commit(run) for run in used),
        hardware=_each(_machine(run) for run in used),
        data=_each(run.data.get("name") or run.choices.get("data") for run in used),
        tested=_each(run.tested for run in used),
        started=min(started, default=None),
        ended=max(ended, default=None),
        total_s=math.fsum(run.time.get("total_s") or 0.0 for run in used),
    )


def _study(run: RunData) -> str:
    """Where the run lies: the folder of its folder; at W&B its group or project."""
    if run.wandb is not None:
        return str(run.wandb.get("group") or run.wandb.get("project") or "W&B")
    return run.folder.resolve().parent.name


def _commit(run: RunData) -> str | None:
    git = run.git or {}
    return git["commit"][:7] + "+" * bool(git.get("dirty")) if git.get("commit") else None


def _machine(run: RunData) -> str | None:
    name, threads = hardware(run), run.environment.get("threads")
    if name is None or threads is None:
        return name
    return f"{name}, {threads} thread{'s' * (threads != 1)}"


def _each(values: Iterable[object]) -> list[str]:
    return list(dict.fromkeys(str(value) for value in values if value is not None))

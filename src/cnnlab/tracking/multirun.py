"""What lies beside the runs of a multirun: their ablation, and the plan of its jobs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnlab.errors import UserError

LAUNCHER = ".locks/launcher"
"""In a multirun's folder; locked, in common, by all launchers that are at work there."""


@dataclass(frozen=True)
class PlannedJob:
    """A run that was or will be made."""

    arm: str
    seed: int
    folder: Path


@dataclass(frozen=True)
class Multirun:
    """`runs/<name>`: ablation.json, plan.json and the folders of the runs.

    Attributes:
        ablation: as it is in ablation.json; None for a plain grid.
        arms: names in the order of the file; of a grid in the order of its jobs.
        purpose: the config keys that the arms set on purpose, the solved one among them; a config
            group (`model`) stands for all that its files may set.
        metric: what it is judged by; None where neither file names one.
        jobs: of plan.json; empty where there is none.
        hold: `cost`, `solve`, `tolerance`; None where nothing was held constant.
        solved: by arm the `key`, `value` and `deviation` of the knob that holds it.
    """

    folder: Path
    name: str
    ablation: dict[str, Any] | None
    arms: list[str]
    purpose: frozenset[str]
    metric: str | None
    jobs: list[PlannedJob]
    hold: dict[str, Any] | None
    solved: dict[str, dict[str, Any]]


def multiruns(folders: Iterable[Path]) -> list[Multirun]:
    """Those of `folders` that hold an ablation.json or a plan.json, each once.

    Raises:
        UserError: such a file is not what the launcher writes.
    """
    found = {}
    for folder in folders:
        ablation, plan = _read(folder / "ablation.json"), _read(folder / "plan.json")
        if ablation is not None or plan is not None:
            found[folder.resolve()] = _multirun(folder, ablation, plan or {})
    return list(found.values())


def _multirun(folder: Path, ablation: dict[str, Any] | None, plan: Mapping[str, Any]) -> Multirun:
    try:
        jobs = [
            # The multirun may have been moved since: its folders lie beside the plan.
            PlannedJob(str(job["arm"]), int(job["seed"]), folder / Path(job["folder"]).name)
            for job in plan.get("jobs", [])
        ]
        of_jobs = {j["arm"]: j["solved"] for j in plan.get("jobs", []) if j.get("solved")}
        told = plan if ablation is None else ablation
        hold, solved = told.get("hold") or None, told.get("solved") or of_jobs
        of_knob = {hold["solve"]} if hold else set()
        if ablation is None:
            arms = list(dict.fromkeys(job.arm for job in jobs))
            name, metric = str(plan["name"]), plan.get("metric")
            own = frozenset(_swept(plan["jobs"]) | of_knob)
            return Multirun(folder, name, None, arms, own, metric, jobs, hold, solved)
        if not isinstance(ablation.get("edf") or {}, dict):
            raise TypeError("edf is no mapping")
        keys = {key_of(word) for words in ablation["arms"].values() for word in words}
        own = frozenset(keys | of_knob | set(ablation.get("tune") or {}))
        name, arms = str(plan.get("name") or ablation["name"]), list(ablation["arms"])
        metric = ablation["metric"]
        return Multirun(folder, name, ablation, arms, own, metric, jobs, hold, solved)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError(
            f"{folder}: its ablation.json or plan.json is not one that cnnlab wrote "
            f"({type(error).__name__}: {error})"
        ) from None


def became(folder: Path) -> str:
    """What became of a job that is not among the runs compared.

    Its record's status; of a job that left none `not run yet`, or why its process ended.
    """
    try:
        record = _read(folder / "run.json")
        if record is not None:
            return f"not among the runs given ({record.get('status')})"
    except (UserError, OSError, AttributeError):
        return "not among the runs given (its run.json cannot be read)"
    outcome = _read(folder / "outcome.json")
    if outcome is None:
        return "not run yet"
    return f"{outcome.get('status')} without a record ({outcome.get('reason')})"


def key_of(word: str) -> str:
    """`model.groups` of `model.groups=4`, `+model.groups=4` and `~model.groups`."""
    return word.partition("=")[0].lstrip("+~").partition("@")[0]


def varied(jobs: Sequence[Sequence[str]]) -> set[str]:
    """The keys, seeds aside, of the words that not all jobs have."""
    if not jobs:
        return set()
    shared = set(jobs[0]).intersection(*jobs)
    keys = {key_of(word) for words in jobs for word in words if word not in shared}
    return keys - {"seed", "data.seed", "model.seed"}


def _swept(jobs: Sequence[Mapping[str, Any]]) -> set[str]:
    """What a command of the grid swept; what differs between two commands was no question.

    An older plan.json does not tell its commands apart: there it is all that varies.
    """
    told = {str(key) for job in jobs for key in job.get("swept", [])}
    return told | varied([list(job["words"]) for job in jobs if "swept" not in job])


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not JSON ({error})") from None

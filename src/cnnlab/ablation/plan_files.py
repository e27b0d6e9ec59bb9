"""`ablation.json` and `plan.json`, for those who read the folder without the configs."""

import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cnnlab.ablation.claim import claim
from cnnlab.ablation.job import Plan
from cnnlab.ablation.job_state import read_state
from cnnlab.atomic import write_json
from cnnlab.errors import UserError
from cnnlab.tracking.find import TUNING
from cnnlab.tracking.machine_paths import MachinePaths, restore
from cnnlab.tracking.multirun import varied
from cnnlab.tracking.redact import Redactor

PLAN, ABLATION = "plan.json", "ablation.json"
JOURNAL = "trials.journal"
"""What a search (`python -m cnnlab tune`) has in its folder instead."""


CLAIMED = ("claim", "metric", "baseline", "contrasts")
"""What of an ablation its runs are judged by."""


def write_plan(plan: Plan, commit: str | None) -> str:
    """Write both; jobs of earlier commands (other seeds, other arms) stay in them.

    Where runs have finished and what they are judged by is another now, the earlier stays in
    ablation.json: `before` is a list of what changed, each `until` when.

    Returns:
        A line about that; "": nothing of it changed.

    Raises:
        UserError: a plan.json is there that cnnlab did not write; a file system without locks.
    """
    while (lock := claim(plan.folder / PLAN)) is None:  # another launcher, for a moment
        time.sleep(0.05)
    try:
        return _write(plan, commit)
    finally:
        os.close(lock)


def is_search(folder: Path) -> bool:
    """Whether `folder` is that of a search."""
    return (folder / JOURNAL).exists()


def holds(folder: Path) -> str:
    """In words what was run in `folder`; "": nothing, or it cannot be told.

    Raises:
        UserError: a file there is not what cnnlab wrote.
    """
    if is_search(folder):
        return "a search (python -m cnnlab tune)"
    if (ablation := _read(folder / ABLATION)) is not None:
        known = ablation.get("name") and ablation.get("scale")
        return an_ablation(ablation["name"], ablation["scale"]) if known else ""
    plan = _read(folder / PLAN)
    return A_GRID if plan is not None and plan.get("metric") is None else ""


A_GRID = "a grid (-m)"


def an_ablation(name: str, scale: str) -> str:
    """As `holds` says it."""
    return f"the ablation {name} at scale={scale}"


def is_multirun(folder: Path) -> bool:
    """Whether it is that of a multirun, also while its arms are still being tuned."""
    return any((folder / name).exists() for name in (PLAN, ABLATION, TUNING))


def earlier_jobs(folder: Path) -> list[dict[str, Any]]:
    """Those in the plan.json of `folder`, paths put back where they stood.

    Raises:
        UserError: it is not what `write_plan` wrote.
    """
    try:
        plan = json.loads((folder / PLAN).read_text())
        jobs = restore(plan["jobs"], (plan.get("machine") or {}).get("paths", {}))
        return [
            job | {"arm": str(job["arm"]), "seed": int(job["seed"]), "folder": _name(job["folder"])}
            for job in jobs
        ]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{folder / PLAN}: not written by cnnlab ({type(error).__name__}: {error}); move it "
            "away"
        ) from None


def _name(folder: str) -> str:
    return Path(folder).name


def _write(plan: Plan, commit: str | None) -> str:
    words = [word for job in plan.jobs for word in job.words]
    redactor, paths = Redactor({}, words, os.environ), MachinePaths()
    jobs = {job["folder"]: job for job in earlier_jobs(plan.folder)}
    known, said = _read(plan.folder / ABLATION) or {}, ""
    some_finished = any(read_state(plan.folder / name).status == "finished" for name in jobs)
    swept = varied([job.words for job in plan.jobs])
    for job in plan.jobs:
        # A repeat of some of the jobs takes nothing back of what an earlier command was about.
        before = jobs.get(job.name, {}).get("swept", [])
        jobs[job.name] = {
            "arm": job.arm,
            "seed": job.seed,
            "folder": job.name,
            "identity": job.identity,
            "cost": job.cost,
            "solved": job.solved,
            "words": [redactor.text(word) for word in job.words],
            "swept": sorted(swept.union(before)),
        }
    fields = {
        "name": plan.name,
        "metric": plan.metric,
        "commit": commit,
        "hold": plan.hold,
        "jobs": paths.take(list(jobs.values())),
        "machine": {
            "command": paths.take([redactor.text(word) for word in sys.argv]),
            "paths": paths.table,
        },
    }
    if plan.ablation is not None:
        of_all = {
            "seeds": list(dict.fromkeys(job["seed"] for job in jobs.values())),
            "solved": {job["arm"]: job["solved"] for job in jobs.values() if job.get("solved")},
        }
        arms = {job.arm for job in plan.jobs}
        of_all |= _tuned(known.get("tuned") or {}, plan.ablation.get("tuned"), arms)
        changed = _judged_otherwise(known, plan.ablation) if some_finished else {}
        if before := [*known.get("before", []), *([changed] if changed else [])]:
            of_all["before"] = before
        write_json(plan.folder / ABLATION, plan.ablation | of_all, indent=2)
        if changed:
            said = (
                f"changed   {', '.join(key for key in CLAIMED if key in changed)} of the ablation, "
                f"though runs have finished; the earlier stay in {plan.folder / ABLATION} (before)"
            )
    write_json(plan.folder / PLAN, fields, indent=2)
    return said


def _judged_otherwise(known: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    now = json.loads(json.dumps(now))  # as it will be read
    changed = {key: known[key] for key in CLAIMED if key in known and known[key] != now.get(key)}
    return {"until": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"} | changed if changed else {}


def _tuned(before: dict[str, Any], now: dict[str, Any] | None, arms: set[str]) -> dict[str, Any]:
    """How the arms were tuned: `arms` as this command says, the others as earlier ones did."""
    kept = {arm: how for arm, how in before.get("arms", {}).items() if arm not in arms}
    if now is None and not kept:
        return {}
    return {"tuned": {**before, **(now or {}), "arms": {**kept, **(now or {}).get("arms", {})}}}


def _read(path: Path) -> dict[str, Any] | None:
    try:
        stored = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):  # whether it can be made is said later
        return None
    except ValueError as error:
        raise UserError(f"{path}: not written by cnnlab ({error}); move it away") from None
    if not isinstance(stored, dict):
        raise UserError(f"{path}: not written by cnnlab; move it away")
    return stored

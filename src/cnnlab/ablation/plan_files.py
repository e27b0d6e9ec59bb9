"""`ablation.json` and `plan.json`, for those who read the folder without the configs."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from cnnlab.ablation.claim import claim
from cnnlab.ablation.job import Plan
from cnnlab.atomic import write_json
from cnnlab.errors import UserError
from cnnlab.tracking.find import TUNING
from cnnlab.tracking.machine_paths import MachinePaths, restore
from cnnlab.tracking.multirun import varied
from cnnlab.tracking.redact import Redactor

PLAN, ABLATION = "plan.json", "ablation.json"
JOURNAL = "trials.journal"
"""What a search (`python -m cnnlab tune`) has in its folder instead."""


def write_plan(plan: Plan, commit: str | None) -> None:
    """Write both; jobs of earlier commands (other seeds, other arms) stay in them.

    Raises:
        UserError: a plan.json is there that cnnlab did not write; a file system without locks.
    """
    while (lock := claim(plan.folder / PLAN)) is None:  # another launcher, for a moment
        time.sleep(0.05)
    try:
        _write(plan, commit)
    finally:
        os.close(lock)


def is_search(folder: Path) -> bool:
    """Whether `folder` is that of a search."""
    return (folder / JOURNAL).exists()


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


def _write(plan: Plan, commit: str | None) -> None:
    words = [word for job in plan.jobs for word in job.words]
    redactor, paths = Redactor({}, words, os.environ), MachinePaths()
    jobs = {job["folder"]: job for job in earlier_jobs(plan.folder)}
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
        of_all |= _tuned(plan.folder / ABLATION, plan.ablation.get("tuned"), arms)
        write_json(plan.folder / ABLATION, plan.ablation | of_all, indent=2)
    write_json(plan.folder / PLAN, fields, indent=2)


def _tuned(path: Path, now: dict[str, Any] | None, arms: set[str]) -> dict[str, Any]:
    """How the arms were tuned: `arms` as this command says, the others as earlier ones did."""
    try:
        before = json.loads(path.read_text()).get("tuned") or {}
        kept = {arm: how for arm, how in before.get("arms", {}).items() if arm not in arms}
    except FileNotFoundError:
        before, kept = {}, {}
    except (ValueError, AttributeError) as error:
        raise UserError(f"{path}: not written by cnnlab ({error}); move it away") from None
    if now is None and not kept:
        return {}
    return {"tuned": {**before, **(now or {}), "arms": {**kept, **(now or {}).get("arms", {})}}}

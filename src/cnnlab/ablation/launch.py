"""Runs a plan's jobs and survives: each is a process of its own, and a repeat goes on.

Nothing is remembered but what the run folders say, so after a crash, a kill or a power cut, and
beside another person who started the same, the same command does what is left.
"""

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from cnnlab.ablation.attempt import KEEP, Order, trim
from cnnlab.ablation.claim import at_work, disk_time
from cnnlab.ablation.code_version import Code, code_now
from cnnlab.ablation.display import display
from cnnlab.ablation.job import Plan
from cnnlab.ablation.job_state import JobState, read_state
from cnnlab.ablation.local_pool import LocalPool
from cnnlab.ablation.multirun import Multirun, Pool
from cnnlab.ablation.plan_files import write_plan
from cnnlab.ablation.stale import (
    STALE_CHOICES,
    left_as_they_are,
    outdated_others,
    refuse_outdated,
)
from cnnlab.ablation.stops import Stops
from cnnlab.ablation.summary import final_table
from cnnlab.config.folder import CONF
from cnnlab.errors import UserError, nearest

TRAIN = (sys.executable, str(CONF.parent / "train.py"))
"""What a job's words are appended to."""
_NAMED = 8


def launch(
    plan: Plan,
    *,
    jobs: int,
    stale: str | None,
    keep: str,
    slurm: Mapping[str, Any] | None = None,
    command: Sequence[str] = TRAIN,
) -> int:
    """Run what is left of `plan`; blocks until all is done or a signal came.

    Finished runs are skipped, half-done ones go on from their last checkpoint, failed ones are
    tried again, once. A job that another launcher works on is waited for at the end.

    Args:
        plan: composed and checked; folders, words and identities of its jobs.
        jobs: how many run at once. On SLURM: at most, where it is more than 1.
        stale: what becomes of runs from another config or other code: None (an error), `keep` or
            `rerun`. Code that changes on the way stops the starts unless it is `keep`.
        keep: what stays of finished runs on disk: `all`, `weights` or `none`.
        slurm: see `slurm_pool`; None: this machine.
        command: what runs a job, before its words.

    Returns:
        The exit code: 0 all finished, 1 not all, 128 + the signal that stopped it.

    Raises:
        UserError: outdated runs are there, or a value is not one of those named above; a metric
            that is a time or a held latency, and runs side by side or another launcher at work; a
            file system without locks; within a W&B sweep.
    """
    _refuse("stale", stale, STALE_CHOICES)
    _refuse("keep", keep, KEEP)
    _refuse_timing_beside(plan, jobs, slurm)
    if os.environ.get("WANDB_SWEEP_ID"):  # which would make all jobs one run there
        raise UserError(
            "WANDB_SWEEP_ID is set: a run of a W&B sweep is one training, and this starts several"
        )
    began = disk_time(plan.folder)
    code = code_now()
    states = [read_state(job.folder) for job in plan.jobs]
    if stale is None:
        refuse_outdated(plan, states, code)
    elif others := outdated_others(plan, code):
        print(left_as_they_are(others), flush=True)
    pool = _pool(plan, jobs, slurm)
    orders = {
        job.name: Order(plan.name, job, list(command), {}, code, stale, keep, began)
        for job in plan.jobs
    }
    finished: dict[str, JobState] = {}
    for job, state in zip(plan.jobs, states, strict=True):
        if state.status == "finished" and orders[job.name].settled(state):
            finished[job.name] = state
            trim(job.folder, keep)  # a kill may have come between its end and this
    alone = slurm is None and _times(plan) is not None
    with at_work(plan.folder, alone=alone), Stops() as stops, display() as shown:
        if said := write_plan(plan, None if code is None else code.commit):
            shown.say(said)
        shown.say(_beginning(plan, list(finished), jobs if slurm is None else None))
        multirun = Multirun(plan, pool, orders, finished, shown)
        multirun.run(stops)
    return _conclude(plan, multirun.states, stops.signum, code)


def _pool(plan: Plan, jobs: int, slurm: Mapping[str, Any] | None) -> Pool:
    if slurm is None:
        return LocalPool(jobs)
    from cnnlab.ablation.slurm_pool import SlurmPool

    return SlurmPool(plan, jobs, slurm)


def _beginning(plan: Plan, finished: list[str], jobs: int | None) -> str:
    line = f"multirun  {plan.name}: {len(plan.jobs)} runs in {plan.folder}"
    if jobs is not None and jobs > 1:
        line += f", {jobs} at a time"
    if finished:
        line += f"\nskip      {len(finished)} that finished before: {_some(finished)}"
    return line


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _conclude(
    plan: Plan, known: Mapping[str, JobState], signum: int | None, code: Code | None
) -> int:
    # Jobs that no attempt settled were not begun, or are another launcher's.
    states = [known.get(job.name, JobState("new")) for job in plan.jobs]
    open_ = sum(state.status != "finished" for state in states)
    print(f"\n{final_table(plan, states)}\n", flush=True)
    counted = [(j, s) for j, s in zip(plan.jobs, states, strict=True) if s.status == "finished"]
    kept = [job.name for job, state in counted if state.outdated(job, code)]
    if kept:
        print(f"kept      {len(kept)} of another config or other code (stale=keep): {_some(kept)}")
    again = f"repeat the command: {_command()}"
    if signum is not None and open_:
        print(f"stopped   {open_} of {len(states)} runs are to do; to go on, {again}")
        return 128 + signum
    if open_:
        print(f"open      {open_} of {len(states)} runs; to try only them again, {again}")
        return 1
    print(f"finished  all {len(states)} runs; python -m cnnlab compare {plan.folder}")
    return 0


def _command() -> str:
    return shlex.join([os.path.basename(sys.executable), *sys.argv])


def _refuse_timing_beside(plan: Plan, jobs: int, slurm: Mapping[str, Any] | None) -> None:
    """Refuse to decide by times that are not measured, or mean nothing, beside other jobs."""
    metric = _times(plan)
    if metric is None:
        return
    if slurm is None and jobs > 1:
        raise UserError(f"jobs={jobs}: {metric} is measured one run at a time; jobs=1")
    if slurm is not None and not (slurm.get("exclusive") and slurm.get("cluster") != "local"):
        raise UserError(
            f"slurm.exclusive: {metric} is measured on a node without other jobs; "
            "slurm.exclusive=true, or slurm=null jobs=1"
        )


def _times(plan: Plan) -> str | None:
    """What is measured in time and decides: the metric, or the cost that is held; None: nothing."""
    metric = plan.metric or ""
    if metric.startswith("time/") or metric == "cost/latency_ms":
        return metric
    return "hold.cost=latency" if (plan.hold or {}).get("cost") == "latency" else None


def _refuse(key: str, value: str | None, allowed: Sequence[str]) -> None:
    if value is not None and value not in allowed:
        listed = ", ".join(allowed)
        raise UserError(f"{key}={value}: allowed: {listed}{nearest(value, allowed)}")

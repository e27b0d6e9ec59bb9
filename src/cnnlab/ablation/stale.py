"""Runs that are there from another config or another commit: said before anything starts."""

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from cnnlab.ablation.attempt import STALE
from cnnlab.ablation.job import Job, Plan
from cnnlab.ablation.job_state import JobState, read_state
from cnnlab.config import compose
from cnnlab.config.resuming import MARK
from cnnlab.errors import UserError
from cnnlab.tracking.identity import differences

STALE_CHOICES = ("keep", "rerun")
_MANY = 4


def refuse_outdated(plan: Plan, states: list[JobState], commit: str | None) -> None:
    """Stop where repeating the command would mix runs that are not the same experiment.

    Args:
        plan: the multirun.
        states: of its jobs, in their order.
        commit: of the code now; None: unknown.

    Raises:
        UserError: how many runs are outdated, those of other seeds among them, by what, and what
            `stale` would do.
    """
    pairs = list(zip(plan.jobs, states, strict=True))
    configs = [job for job, state in pairs if state.other_config(job)]
    codes = [state for _, state in pairs if state.other_code(commit)]
    others = of_other_seeds(plan)
    if not configs and not codes and not others:
        return
    parts = []
    if configs:
        parts.append(f"{len(configs)} of another config ({_detail(configs[0])})")
    if codes:
        older = sorted({one[:7] for state in codes for one in state.commits - {commit}})
        parts.append(
            f"{len(codes)} of another commit ({', '.join(older[:_MANY])}; now {commit:.7})"
        )
    stay = ""
    if others:
        parts.append(f"{len(others)} of other seeds of another config ({_detail(others[0])})")
        stay = "; those of other seeds stay until these seeds are named, too"
    raise UserError(
        f"stale=null: {plan.folder} holds {len(plan.jobs) + len(plan.others)} runs, "
        f"{' and '.join(parts)}; allowed: keep (finished ones count as they are), rerun (they are "
        f"moved to {plan.folder / STALE} and run again{stay})"
    )


def of_other_seeds(plan: Plan) -> list[Job]:
    """The runs of these arms under seeds of earlier commands that are of another config.

    Compared with what is run now, arms of several configs have no verdict.
    """
    return [job for job in plan.others if read_state(job.folder).other_config(job)]


def left_as_they_are(others: Sequence[Job]) -> str:
    """What is said where they were found, and `stale` lets the launch go on."""
    seeds = ",".join(map(str, sorted({job.seed for job in others})))
    names = ", ".join(job.name for job in others[:_MANY])
    more = f" and {len(others) - _MANY} more" if len(others) > _MANY else ""
    return (
        f"stale     {len(others)} of other seeds are of another config and stay as they are: "
        f"{names}{more}; stale=rerun with seed={seeds} runs them again, too"
    )


def _detail(job: Job) -> str:
    changed = _changed(job)
    return f"{job.name}: {changed}" if changed else job.name


def _changed(job: Job) -> str:
    """The keys that differ, where the record and the words of `job` tell."""
    with suppress(UserError, OSError):
        from omegaconf import OmegaConf

        now: Any = OmegaConf.to_container(compose(job.words).cfg, resolve=True)
        then = json.loads((job.folder / "run.json").read_text()).get("config") or {}
        found = {
            key: values
            for key, values in differences(now, then).items()
            # `auto` became something; paths and secrets are not kept.
            if values[0] not in ("auto", None) and not _unreadable(values[1])
        }
        listed = [f"{key}={new} (was {old})" for key, (new, old) in found.items()]
        more = f" and {len(listed) - _MANY} more" if len(listed) > _MANY else ""
        return ", ".join(listed[:_MANY]) + more
    return ""


def _unreadable(value: Any) -> bool:
    return isinstance(value, str) and ("$PATH" in value or MARK in value)

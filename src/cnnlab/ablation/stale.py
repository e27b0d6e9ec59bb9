"""Runs that are there from another config or other code: said before anything starts."""

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from cnnlab.ablation.attempt import STALE
from cnnlab.ablation.code_version import Code
from cnnlab.ablation.job import Job, Plan
from cnnlab.ablation.job_state import JobState, read_state
from cnnlab.config import compose
from cnnlab.config.resuming import MARK
from cnnlab.errors import UserError
from cnnlab.tracking.identity import differences

STALE_CHOICES = ("keep", "rerun")
_MANY = 4


def refuse_outdated(plan: Plan, states: list[JobState], code: Code | None) -> None:
    """Stop where repeating the command would mix runs that are not the same experiment.

    Args:
        plan: the multirun.
        states: of its jobs, in their order.
        code: of now; None: unknown.

    Raises:
        UserError: how many runs are outdated, those that the command leaves out among them, by
            what, and what `stale` would do.
    """
    own = _kinds(list(zip(plan.jobs, states, strict=True)), code)
    others = _kinds([(job, read_state(job.folder)) for job in outdated_others(plan, code)], code)
    if not own and not others:
        return
    parts = [*own, *(f"{kind}, of seeds or arms left out now" for kind in others)]
    stay = "; those left out stay until their seeds or arms are named, too" if others else ""
    raise UserError(
        f"stale=null: {plan.folder} holds {len(plan.jobs) + len(plan.others)} runs, "
        f"{' and '.join(parts)}; allowed: keep (finished ones count as they are), rerun (they are "
        f"moved to {plan.folder / STALE} and run again{stay})"
    )


def outdated_others(plan: Plan, code: Code | None) -> list[Job]:
    """The runs of other seeds or arms, by earlier commands, that are of another config or code.

    Compared with what is run now, arms of several configs have no verdict.
    """
    return [job for job in plan.others if read_state(job.folder).outdated(job, code)]


def left_as_they_are(others: Sequence[Job]) -> str:
    """What is said where they were found, and `stale` lets the launch go on."""
    seeds = ",".join(map(str, sorted({job.seed for job in others})))
    arms = ",".join(dict.fromkeys(job.arm for job in others))
    names = ", ".join(job.name for job in others[:_MANY])
    more = f" and {len(others) - _MANY} more" if len(others) > _MANY else ""
    return (
        f"stale     {len(others)} of seeds or arms left out now are of another config or code and "
        f"stay as they are: {names}{more}; stale=rerun with seed={seeds} and arms {arms} runs "
        "them again, too"
    )


def _kinds(pairs: Sequence[tuple[Job, JobState]], code: Code | None) -> list[str]:
    """A phrase for those of another config, and one for those of other code."""
    kinds = []
    if configs := [job for job, state in pairs if state.other_config(job)]:
        kinds.append(f"{len(configs)} of another config ({_detail(configs[0])})")
    if code and (codes := [state for _, state in pairs if state.other_code(code)]):
        older = sorted({one for s in codes for one in s.codes if one.differs(code)}, key=str)
        edits = all(one.commit == code.commit for one in older)
        what = "other uncommitted edits" if edits else "another commit"
        kinds.append(f"{len(codes)} of {what} ({', '.join(map(str, older[:_MANY]))}; now {code})")
    return kinds


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

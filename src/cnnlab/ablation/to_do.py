"""What a command would still run, as far as the folders say: for `dry=true`."""

from collections.abc import Iterable
from dataclasses import dataclass

from cnnlab.ablation.choice import standing, tuned_arm
from cnnlab.ablation.code_version import Code, code_now
from cnnlab.ablation.job import Job
from cnnlab.ablation.job_state import read_state
from cnnlab.ablation.plan import Planned
from cnnlab.ablation.stale import outdated_others


@dataclass(frozen=True)
class Sorted:
    """Jobs by what becomes of them.

    Attributes:
        to_do: that would be run.
        finished: how many are skipped.
        stale: how many are of another config or other code, and nobody said what becomes of them.
    """

    to_do: list[Job]
    finished: int
    stale: int

    def __str__(self) -> str:
        """Goes behind how many there are; "" where nothing is there yet."""
        if not self.finished and not self.stale:
            return ""
        stale = f", {self.stale} stale: stale=keep|rerun" if self.stale else ""
        return f"; {self.finished} finished, {len(self.to_do)} to do{stale}"


@dataclass(frozen=True)
class ToDo:
    """What would be run.

    Attributes:
        counted: the jobs that count.
        tuning: those before them, of the arms that have no choice.
        chosen: the arms that have one.
        others: how many of seeds or arms that the command leaves out are stale.
    """

    counted: Sorted
    tuning: Sorted
    chosen: list[str]
    others: int

    def runs(self, planned: Planned) -> dict[str, int]:
        """How many of each arm would be run, those that tune it among them."""
        to_do = [job.folder for job in (*self.counted.to_do, *self.tuning.to_do)]
        jobs = {
            arm.name: [job for job in planned.plan.jobs if job.arm == arm.name]
            for arm in planned.arms
        }
        for arm, candidates in planned.tuning.candidates.items() if planned.tuning else ():
            jobs[arm] += [job for one in candidates for job in one.jobs]
        return {arm: sum(job.folder in to_do for job in own) for arm, own in jobs.items()}


def to_do(planned: Planned) -> ToDo:
    """Sort the jobs of a plan, the arms tuned where a choice is there.

    Raises:
        UserError: a file of the multirun is not what cnnlab wrote; `stale=keep` and a choice that
            is not in the grid.
    """
    code, stale = code_now(), planned.cfg.stale
    tuning, chosen, before = planned.tuning, {}, Sorted([], 0, 0)
    if tuning is not None:
        chosen = standing(tuning, planned.plan.folder, stale)
        arms = [
            tuned_arm(tuning, arm, chosen[arm.name]) if arm.name in chosen else arm
            for arm in planned.arms
        ]
        planned = planned.with_arms(arms, {})
        left = [arm for arm in tuning.candidates if arm not in chosen]
        before = _sorted(tuning.only(left).jobs, code, stale)
    others = outdated_others(planned.plan, code) if stale is None else []
    return ToDo(_sorted(planned.plan.jobs, code, stale), before, list(chosen), len(others))


def _sorted(jobs: Iterable[Job], code: Code | None, stale: str | None) -> Sorted:
    left, finished, undecided = [], 0, 0
    for job in jobs:
        state = read_state(job.folder)
        outdated = state.outdated(job, code)
        if outdated and stale is None:
            undecided += 1
        elif state.status == "finished" and not (outdated and stale == "rerun"):
            finished += 1
        else:
            left.append(job)
    return Sorted(left, finished, undecided)

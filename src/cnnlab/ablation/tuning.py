"""`tune:` of an ablation: every arm gets the same search on val, under seeds that do not count."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from cnnlab.ablation.arm import Arm, arm_names
from cnnlab.ablation.definition import Ablation
from cnnlab.ablation.job import Job, Plan
from cnnlab.config import Composed, to_plain
from cnnlab.config.words import word
from cnnlab.errors import UserError
from cnnlab.tracking.find import TUNING as FOLDER
from cnnlab.tracking.identity import identity

UNTESTED = "trainer.limit_test_batches=0"
"""What makes a run train and validate, and test nothing: a choice must not see the test split."""
APART = "@"
"""Between arm and point in a folder's name; no name of an arm has it."""


@dataclass(frozen=True)
class Candidate:
    """An arm at one point of the grid.

    Attributes:
        point: the tuned keys and their values.
        arm: with the point's words; the one that counts where this point is chosen.
        jobs: one a tuning seed.
    """

    point: dict[str, Any]
    arm: Arm
    jobs: list[Job]


@dataclass(frozen=True)
class Tuning:
    """The search that every arm gets.

    Attributes:
        metric: on val.
        values: of each tuned key.
        seeds: none of them counts.
        candidates: of each arm, in the order of the grid; the last key changes fastest.
        plan: all tuning jobs.
    """

    metric: str
    values: dict[str, list[Any]]
    seeds: list[int]
    candidates: dict[str, list[Candidate]]
    plan: Plan

    def search(self, arm: str) -> str:
        """A digest of what was searched for an arm: equal where a choice still holds."""
        identities = [job.identity for one in self.candidates[arm] for job in one.jobs]
        text = json.dumps([self.metric, *identities])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def only(self, arms: Sequence[str]) -> Plan:
        """The tuning jobs of these arms."""
        mine = [job.folder for arm in arms for one in self.candidates[arm] for job in one.jobs]
        return replace(self.plan, jobs=[job for job in self.plan.jobs if job.folder in mine])

    def __str__(self) -> str:
        listed = ", ".join(f"{key} in {_braces(values)}" for key, values in self.values.items())
        seeds = ", ".join(map(str, self.seeds))
        plural = "s" * (len(self.seeds) != 1)
        return f"{listed} by {self.metric}, {len(self.seeds)} seed{plural} ({seeds})"


def points(values: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """The grid; the last key changes fastest."""
    return [dict(zip(values, one, strict=True)) for one in product(*values.values())]


def words_of(point: Mapping[str, Any]) -> list[str]:
    """A point as words."""
    return [word(key, value) for key, value in point.items()]


def shown(point: Mapping[str, Any]) -> str:
    """A point on one line."""
    return " ".join(words_of(point))


def val_metric(metric: str) -> str:
    """The counterpart on val of what decides."""
    return "val/" + metric.partition("/")[2]


def tuning(
    ablation: Ablation,
    arms: Sequence[Arm],
    name: str,
    folder: Path,
    counted: Sequence[int],
    held: bool,
    checked: Callable[[str, list[str]], Composed],
    cost: Callable[[Composed], dict[str, float]],
) -> Tuning | None:
    """The tuning jobs of an ablation; None where it tunes nothing.

    Args:
        ablation: says what is searched.
        arms: with their solved knobs.
        name: of the multirun.
        folder: of the multirun.
        counted: the seeds of the runs that count.
        held: whether all arms have to cost the same.
        checked: composes and checks the words of an arm.
        cost: counts a config's net.

    Raises:
        UserError: a seed that counts, too; a point that is no valid run, or that changes a cost
            that is held.
    """
    if not ablation.tune:
        return None
    for seed in ablation.tuning_seeds:
        if seed in counted:
            raise UserError(
                f"ablation.tune.seeds={seed}: is a seed of the runs that count, too; a choice made "
                "on it would favour them"
            )
    grid = points(ablation.tune)
    names = arm_names([words_of(point) for point in grid], list(ablation.tune))
    candidates = {
        arm.name: [
            _candidate(
                ablation.tuning_seeds,
                arm,
                point,
                folder / FOLDER / f"{arm.name}{APART}{short}",
                held,
                checked,
                cost,
            )
            for point, short in zip(grid, names, strict=True)
        ]
        for arm in arms
    }
    jobs = [job for arm in arms for one in candidates[arm.name] for job in one.jobs]
    metric = val_metric(ablation.metric)
    plan = Plan(f"{name}-{FOLDER}", folder / FOLDER, None, jobs, metric)
    return Tuning(metric, ablation.tune, ablation.tuning_seeds, candidates, plan)


def _candidate(
    seeds: Sequence[int],
    arm: Arm,
    point: dict[str, Any],
    folder: Path,
    held: bool,
    checked: Callable[[str, list[str]], Composed],
    cost: Callable[[Composed], dict[str, float]],
) -> Candidate:
    words = [*arm.words, *words_of(point)]
    composed = checked(arm.name, words)
    costs = cost(composed)
    if held and costs != arm.cost:
        raise UserError(
            f"ablation.tune: {shown(point)} changes what arm {arm.name} costs, which "
            "hold.cost holds"
        )
    own = replace(arm, words=words, composed=composed, cost=costs)
    jobs = [
        Job(
            arm=folder.name,
            seed=seed,
            words=[*words, UNTESTED, f"seed={seed}"],
            folder=folder.with_name(f"{folder.name}-s{seed}"),
            identity=_identity(composed, seed),
            cost=costs,
        )
        for seed in seeds
    ]
    return Candidate(point, own, jobs)


def _identity(composed: Composed, seed: int) -> str:
    cfg = composed.cfg.copy()
    cfg.seed, cfg.trainer.limit_test_batches = seed, 0  # as UNTESTED says
    return identity(to_plain(cfg))


def _braces(values: Sequence[Any]) -> str:
    return "{" + ", ".join(map(str, values)) + "}"


def lines(tuning: Tuning) -> Iterator[str]:
    """What `dry=true` says."""
    arms, grid = len(tuning.candidates), len(next(iter(tuning.candidates.values())))
    yield f"tuning   {len(tuning.plan.jobs)} runs before: {arms} arms, {grid} points, {tuning}"

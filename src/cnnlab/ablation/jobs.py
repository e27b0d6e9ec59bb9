"""The jobs of a plan, and those of earlier commands as they would be run now."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cnnlab.ablation.arm import Arm
from cnnlab.ablation.choice import Choice, recorded
from cnnlab.ablation.definition import Hold
from cnnlab.ablation.job import Job
from cnnlab.ablation.plan_files import earlier_jobs
from cnnlab.ablation.tuning import points, words_of
from cnnlab.config import Composed, to_plain
from cnnlab.errors import UserError
from cnnlab.tracking.identity import identity

_UNLIKE = "of no config"
"""The identity of a job that cannot be run now as it was; no run has it."""


def jobs_of(arms: list[Arm], seeds: list[int], folder: Path) -> list[Job]:
    """Seed by seed, so that an interrupted ablation has compared all arms under the first seeds.

    Raises:
        UserError: two arms are the same run.
    """
    same: dict[str, str] = {}
    for arm in arms:
        other = same.setdefault(_identity(arm.composed, seeds[0]), arm.name)
        if other != arm.name:
            raise UserError(f"arms {other} and {arm.name}: the same run under two names")
    return [_job(arm, seed, folder) for seed in seeds for arm in arms]


def of_other_seeds(arms: list[Arm], seeds: list[int], folder: Path) -> list[Job]:
    """What earlier commands ran of these arms under other seeds, as it would be run now."""
    of = {arm.name: arm for arm in arms}
    return [
        _job(of[job["arm"]], job["seed"], folder)
        for job in earlier_jobs(folder)
        if job["arm"] in of and job["seed"] not in seeds
    ]


def of_other_arms(
    words: Mapping[str, list[str]],
    folder: Path,
    hold: Hold | None,
    tune: Mapping[str, list[Any]] | None,
    checked: Callable[[str, list[str]], Composed],
) -> list[Job]:
    """What earlier commands ran of arms that this one leaves out, as it would be run now.

    No net is counted: a solved knob and a tuned point are those of the earlier command, if the same
    knob still holds the same cost and the same grid is still searched.

    Args:
        words: of the arms that are left out.
        folder: of the multirun.
        hold: what is held now.
        tune: the grid of now.
        checked: composes and checks the words of an arm.

    Raises:
        UserError: such an arm is no valid run now.
    """
    earlier = [job for job in earlier_jobs(folder) if job["arm"] in words]
    choices = recorded(folder) if earlier and tune else {}
    composed: dict[tuple[str, ...], Composed] = {}
    found = []
    for job in earlier:
        name = job["arm"]
        own = [*words[name], *_knob(job["solved"], hold)]
        choice = choices.get(name)
        if choice is not None:
            own += words_of(choice.point)
        if tuple(own) not in composed:
            composed[tuple(own)] = checked(name, own)
        now = _job(Arm(name, own, composed[tuple(own)], {}, None), job["seed"], folder)
        alike = not tune or (choice is not None and _searched(choice) == points(tune))
        found.append(now if alike else replace(now, identity=_UNLIKE))
    return found


def _knob(solved: Mapping[str, Any] | None, hold: Hold | None) -> Iterator[str]:
    if solved and hold and (solved["holds"], solved["key"]) == (hold.cost, hold.solve):
        yield f"{solved['key']}={solved['value']}"


def _searched(choice: Choice) -> list[dict[str, Any]]:
    return [one.point for one in choice.tried]


def _job(arm: Arm, seed: int, folder: Path) -> Job:
    return Job(
        arm=arm.name,
        seed=seed,
        words=[*arm.words, f"seed={seed}"],
        folder=folder / f"{arm.name}-s{seed}",
        identity=_identity(arm.composed, seed),
        cost=arm.cost,
        solved=None if arm.solved is None else vars(arm.solved),
    )


def _identity(composed: Composed, seed: int) -> str:
    """Of the config with that seed; `auto` stays what it is, since no machine is chosen yet."""
    cfg = composed.cfg.copy()
    cfg.seed = seed
    return identity(to_plain(cfg))

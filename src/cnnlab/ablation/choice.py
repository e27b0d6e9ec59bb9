"""Which point of the grid each arm counts with: chosen once, written to tuned.json, kept.

A choice is a pure function of what the tuning runs say on val, and is written under a lock: who
repeats the command, or starts it twice at once, goes on with the choice that is there.
"""

import json
import math
import os
import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cnnlab.ablation.arm import Arm
from cnnlab.ablation.claim import claim
from cnnlab.ablation.job_state import read_state
from cnnlab.ablation.tuning import Candidate, Tuning, shown, words_of
from cnnlab.atomic import write_json
from cnnlab.errors import UserError
from cnnlab.tracking.metric import higher_is_better, value
from cnnlab.tracking.reading import RunData, read_run
from cnnlab.tracking.remarks import is_at_edge

FILE = "tuned.json"
"""In the folder of the ablation."""
DIVERGED = ("NonFiniteLossError", "NonFiniteWeightsError")
"""Errors of a training that its settings spoil; they would again."""


@dataclass(frozen=True)
class Tried:
    """A point of an arm's grid.

    Attributes:
        point: the tuned keys and their values.
        mean: of the metric over the tuning seeds; None: left out.
        why: left out, such as `diverged`.
    """

    point: dict[str, Any]
    mean: float | None
    why: str | None


@dataclass(frozen=True)
class Choice:
    """The point that an arm counts with.

    Attributes:
        point: the tuned keys and their values.
        search: digest of what was searched.
        tied: points that were as good, and stand later in the grid.
        tried: the whole grid.
    """

    point: dict[str, Any]
    search: str
    tied: list[dict[str, Any]]
    tried: list[Tried]

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Choice":
        """What `asdict` gave."""
        return cls(**{**plain, "tried": [Tried(**one) for one in plain["tried"]]})

    def __str__(self) -> str:
        marks = [" (at the edge of the grid)" * self.at_edge(key) for key in self.point]
        pairs = zip(words_of(self.point), marks, strict=True)
        text = " ".join(word + mark for word, mark in pairs)
        rest = [f"{shown(one.point)} {_figure(one)}" for one in self.tried]
        if self.tied:
            text += f" (as good: {', '.join(map(shown, self.tied))}; the first in the file counts)"
        return f"{text}; tried {', '.join(rest)}"

    def at_edge(self, key: str) -> bool:
        """Whether a better value may lie beyond the grid."""
        return is_at_edge(self.point[key], [one.point[key] for one in self.tried])


class Unsettled(Exception):
    """No choice can be made yet; the text says why."""


def choose(tuning: Tuning, arm: str) -> Choice:
    """The best point of an arm by what its tuning runs say on val.

    The mean over the tuning seeds decides; of equals the first in the grid. A point where a run
    diverged (loss or weights not finite, or such a metric) is left out.

    Raises:
        Unsettled: a run has not finished for another reason; or no point is left.
        UserError: a record that cannot be read.
    """
    tried, runs = [], []
    for candidate in tuning.candidates[arm]:
        own, found = _try(candidate, tuning.metric)
        tried.append(own)
        runs += found
    sign = 1 if higher_is_better(tuning.metric, runs) else -1
    left = [one for one in tried if one.mean is not None]
    if not left:
        reasons = ", ".join(f"{shown(one.point)} {one.why}" for one in tried)
        raise Unsettled(f"no point of its grid can be had ({reasons}); change ablation.tune")
    best = max(sign * (one.mean or 0.0) for one in left)
    first, *tied = [one.point for one in left if sign * (one.mean or 0.0) == best]
    return Choice(first, tuning.search(arm), tied, tried)


def _try(candidate: Candidate, metric: str) -> tuple[Tried, list[RunData]]:
    values, runs = [], []
    for job in candidate.jobs:
        state = read_state(job.folder)
        if state.status == "failed" and (state.reason or "").startswith(DIVERGED):
            return Tried(candidate.point, None, "diverged"), []
        if state.status != "finished":
            reason = f": {state.reason}" if state.reason else ""
            raise Unsettled(f"{job.name} is {state.status}{reason}")
        run = read_run(job.folder)
        own = value(run, metric)
        if own is None:
            raise Unsettled(f"{job.name} has no {metric}")
        if not math.isfinite(own):
            return Tried(candidate.point, None, f"{metric} not finite"), []
        values.append(own)
        runs.append(run)
    return Tried(candidate.point, statistics.fmean(values), None), runs


def recorded(folder: Path) -> dict[str, Choice]:
    """The choices that tuned.json in an ablation's folder holds, by arm.

    Raises:
        UserError: it is not what cnnlab wrote.
    """
    path = folder / FILE
    try:
        plain = json.loads(path.read_text())
        return {arm: Choice.from_plain(choice) for arm, choice in plain["arms"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not written by cnnlab ({error}); move it away") from None


def standing(tuning: Tuning, folder: Path, stale: str | None) -> dict[str, Choice]:
    """The choices in `folder` that no run has to be made for, of the arms that are tuned now.

    One of another search, or another config of the arm, is none unless `stale` is `keep`.

    Raises:
        UserError: as `recorded`.
    """
    return {
        arm: choice
        for arm, choice in recorded(folder).items()
        if arm in tuning.candidates and (stale == "keep" or choice.search == tuning.search(arm))
    }


def tuned_arm(tuning: Tuning, arm: Arm, choice: Choice) -> Arm:
    """The arm as it counts.

    Raises:
        UserError: what was chosen is not in the grid.
    """
    for candidate in tuning.candidates[arm.name]:
        if candidate.point == choice.point:
            return candidate.arm
    raise UserError(
        f"stale=keep: arm {arm.name} was tuned to {choice.point}, which is not in ablation.tune "
        "now; stale=rerun chooses again"
    )


def record(tuning: Tuning, folder: Path, choices: Mapping[str, Choice]) -> dict[str, Choice]:
    """Add to tuned.json what it does not hold yet of this search; what it holds then.

    Of two who choose at once the first one's choice is everybody's.
    """
    with _alone(folder / FILE):
        known = recorded(folder)
        for arm, choice in choices.items():
            if arm not in known or known[arm].search != choice.search:
                known[arm] = choice
        write_json(folder / FILE, plain_of(tuning, known), indent=2)
    return known


def plain_of(tuning: Tuning, choices: Mapping[str, Choice]) -> dict[str, Any]:
    """What tuned.json holds, and ablation.json as `tuned`."""
    return {
        "metric": tuning.metric,
        "seeds": tuning.seeds,
        "values": tuning.values,
        "arms": {arm: asdict(choice) for arm, choice in choices.items()},
    }


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    while (lock := claim(path)) is None:
        time.sleep(0.05)
    try:
        yield
    finally:
        os.close(lock)


def _figure(tried: Tried) -> str:
    return f"{tried.mean:.4f}" if tried.mean is not None else str(tried.why)

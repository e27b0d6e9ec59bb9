"""A search by Optuna: trials are runs in processes of their own, and a repeat goes on.

Optuna's own file (runs/<name>/trials.journal) holds what was asked and told, the run folders what
came of it. A trial that was asked and not told is gone on with.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnlab.ablation.attempt import Order
from cnnlab.ablation.claim import claim, disk_time
from cnnlab.ablation.display import display
from cnnlab.ablation.job import Job, Plan
from cnnlab.ablation.job_state import read_state
from cnnlab.ablation.local_pool import LocalPool
from cnnlab.ablation.multirun import Multirun
from cnnlab.ablation.plan_files import JOURNAL
from cnnlab.ablation.space import Dimension, OneOf, to_text
from cnnlab.ablation.stops import Stops
from cnnlab.ablation.summary import reason_of
from cnnlab.ablation.tuning import UNTESTED, words_of
from cnnlab.config import Composed, to_plain
from cnnlab.errors import UserError
from cnnlab.tracking.identity import identity
from cnnlab.tracking.metric import value
from cnnlab.tracking.reading import read_run

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

SAMPLERS = ("tpe", "random")
STUDY = "search"
"""Its name in the journal; a search goes on where its folder was renamed."""
ABOUT = "search"
"""The study's attribute that says what is searched."""
REASON = "reason"
"""The attribute of a trial that says why it could not begin."""


@dataclass(frozen=True)
class Search:
    """What is searched.

    Attributes:
        name: of the study.
        folder: `runs/<name>`.
        words: of every trial.
        seed: of every trial, and of the sampler.
        space: by key.
        metric: on val.
        maximize: whether high is good.
        trials: how many in all.
        sampler: one of `SAMPLERS`.
        keep: what stays of a finished trial: all, weights, none.
        composed_with: composes and checks the trials' words and these.
    """

    name: str
    folder: Path
    words: list[str]
    seed: int
    space: dict[str, Dimension]
    metric: str
    maximize: bool
    trials: int
    sampler: str
    keep: str
    composed_with: Callable[[list[str]], Composed]

    def about(self) -> dict[str, Any]:
        """Equal for a repeat; how many trials there are may change."""
        return {
            "config": identity(to_plain(self.composed_with([]).cfg)),
            "space": to_text(self.space),
            "metric": self.metric,
            "sampler": self.sampler,
        }

    def job(self, number: int, point: dict[str, Any]) -> Job:
        """The run of a trial.

        Raises:
            UserError: the values do not go together.
        """
        words = [*words_of(point), UNTESTED]
        name = f"trial-{number:03}"
        return Job(
            arm=name,
            seed=self.seed,
            words=[*self.words, *words],
            folder=self.folder / name,
            identity=identity(to_plain(self.composed_with(words).cfg)),
            cost=None,
        )


def search_on(search: Search, *, jobs: int, command: Sequence[str]) -> "tuple[Study, int | None]":
    """Run what is left of the trials; returns the study, and the signal that stopped it.

    Args:
        search: what is searched.
        jobs: how many trials run at once; they are asked for together.
        command: what runs a trial, before its words.

    Raises:
        UserError: another process is at it; the folder holds another search.
    """
    lock = claim(search.folder / ABOUT)
    if lock is None:
        raise UserError(f"name={search.name}: another process searches in {search.folder} now")
    try:
        study = _study(search)
        began = disk_time(search.folder)
        with Stops() as stops, display() as shown:
            shown.say(_beginning(search, study))
            while stops.signum is None and (batch := _next(search, study, jobs)):
                plan = Plan(search.name, search.folder, None, batch, search.metric)
                orders = {
                    # Code is None: a search may go on under another version of it.
                    job.name: Order(
                        search.name, job, list(command), {}, None, None, search.keep, began
                    )
                    for job in batch
                }
                Multirun(plan, LocalPool(jobs), orders, {}, shown).run(stops)
                told = [_tell(search, study, job) for job in batch]
                if not all(told):  # told to stop by somebody else: not to be begun at once again
                    break
        return study, stops.signum
    finally:
        os.close(lock)


def _study(search: Search) -> "Study":
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    search.folder.mkdir(parents=True, exist_ok=True)
    journal = search.folder / JOURNAL
    _cut_torn_line(journal)
    try:
        study = optuna.create_study(
            study_name=STUDY,
            storage=JournalStorage(JournalFileBackend(str(journal))),
            direction="maximize" if search.maximize else "minimize",
            load_if_exists=True,
        )
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"{journal}: Optuna cannot read it ({error}); move it away") from None
    about, known = search.about(), study.user_attrs.get(ABOUT)
    if known is None:
        study.set_user_attr(ABOUT, about)
    elif other := [part for part in about if known.get(part) != about[part]]:
        raise UserError(
            f"name={search.name}: {search.folder} holds a search with another {', '.join(other)}; "
            "give this one another name"
        )
    return study


def _cut_torn_line(journal: Path) -> None:
    """Of a power cut while it was written; Optuna would not read beyond it."""
    data = journal.read_bytes() if journal.exists() else b""
    if torn := len(data) - (data.rfind(b"\n") + 1):
        os.truncate(journal, len(data) - torn)


def counted(search: Search, study: "Study") -> "list[FrozenTrial]":
    """The trials that have all their values; a kill may have left others."""
    return [trial for trial in study.trials if trial.params.keys() == search.space.keys()]


def folder_of(search: Search, trial: "FrozenTrial") -> Path:
    """The run folder of a trial."""
    return search.folder / f"trial-{trial.number:03}"


def why_failed(search: Search, trial: "FrozenTrial") -> str:
    """In one line."""
    if REASON in trial.user_attrs:
        return str(trial.user_attrs[REASON])
    state = read_state(folder_of(search, trial))
    return f"no finite {search.metric}" if state.status == "finished" else reason_of(state)


def _beginning(search: Search, study: "Study") -> str:
    done = len(counted(search, study))
    line = f"search    {search.name}: {search.trials} trials in {search.folder}"
    return f"{line}; {done} of them began before" if done else line


def _next(search: Search, study: "Study", jobs: int) -> list[Job]:
    """Trials that were asked and not told first, then new ones."""
    from optuna.trial import TrialState

    batch: list[Job] = []
    for known in study.get_trials(states=[TrialState.RUNNING]):
        if known.params.keys() != search.space.keys():
            study.tell(known.number, state=TrialState.FAIL)
        elif len(batch) < jobs:
            point = {key: known.params[key] for key in search.space}
            batch.append(search.job(known.number, point))
    while len(batch) < jobs and len(counted(search, study)) < search.trials:
        study.sampler = _sampler(search, len(study.trials))
        trial = study.ask()
        point = {key: _suggest(trial, key, one) for key, one in search.space.items()}
        try:
            batch.append(search.job(trial.number, point))
        except UserError as error:
            trial.set_user_attr(REASON, str(error).splitlines()[0])
            study.tell(trial, state=TrialState.FAIL)
    return batch


def _sampler(search: Search, number: int) -> "BaseSampler":
    """A new one for every trial: what a repeated command asks for, an uninterrupted one would."""
    import numpy as np
    from optuna.samplers import RandomSampler, TPESampler

    seed = int(np.random.SeedSequence([search.seed, number]).generate_state(1)[0])
    return TPESampler(seed=seed) if search.sampler == "tpe" else RandomSampler(seed=seed)


def _suggest(trial: "Trial", key: str, one: Dimension) -> Any:
    if isinstance(one, OneOf):
        return trial.suggest_categorical(key, one.values)
    if one.whole:
        return trial.suggest_int(key, int(one.low), int(one.high), log=one.log)
    return trial.suggest_float(key, one.low, one.high, log=one.log)


def _tell(search: Search, study: "Study", job: Job) -> bool:
    """What came of a trial; one that was stopped stays open, which is False."""
    from optuna.trial import TrialState

    number, state = int(job.name.rpartition("-")[2]), read_state(job.folder)
    if state.status not in ("finished", "failed"):
        return False
    own = value(read_run(job.folder), search.metric) if state.status == "finished" else None
    if own is None or not isfinite(own):
        study.tell(number, state=TrialState.FAIL)
    else:
        study.tell(number, own)
    return True

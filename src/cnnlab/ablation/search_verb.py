"""`python -m cnnlab tune`: from words to a search, and what is said of it at the end."""

import shlex
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnlab.ablation.definition import words_set
from cnnlab.ablation.space import read as read_space
from cnnlab.ablation.typed import Typed, read_words
from cnnlab.config import Composed, check, compose, schema, to_plain
from cnnlab.config.fit import metric_fault
from cnnlab.config.words import needs_hydra, parse
from cnnlab.errors import UserError, nearest

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

    from cnnlab.ablation.search import Search

OWN = {
    "space": "'space={optimizer.lr: [1e-4, 1e-1, log]}'",
    "trials": "trials=20",
    "metric": "metric=val/top1",
    "name": "name=NAME",
}
"""Words that a search needs, with an example; `sampler` may be left out."""
_TAKEN = ("jobs", "keep", "name")


def tune_verb(words: list[str], command: Sequence[str] | None = None) -> int:
    """Search; print all trials and the words of the best.

    Args:
        words: as typed after `tune`.
        command: what runs a trial, before its words; None: train.py.

    Returns:
        The exit code: 0 all trials ended and one at least has a value, 1 otherwise, 128 + the
        signal that stopped it.

    Raises:
        UserError: whatever is wrong with the words, before torch is imported.
    """
    if needs_hydra(words):
        raise UserError("tune: takes no options of Hydra's; what is searched stands in space={...}")
    own, typed = _sorted(words)
    search, jobs = _search(own, typed)
    if find_spec("optuna") is None:
        raise UserError("tune: optuna is not installed: pip install -e '.[tune]'")
    from cnnlab.ablation.launch import TRAIN
    from cnnlab.ablation.search import search_on

    study, signum = search_on(search, jobs=jobs, command=TRAIN if command is None else command)
    for line in report(search, study):
        print(line)
    if signum is not None:
        print("stopped   to go on, repeat the command")
        return 128 + signum
    return 0 if _states(study, "COMPLETE") and not _states(study, "RUNNING") else 1


def _sorted(words: list[str]) -> tuple[dict[str, Any], Typed]:
    """The search's own words, and the others."""
    own: dict[str, Any] = {}
    rest = []
    for word in words:
        key = word.partition("=")[0]
        if key in (*OWN, "sampler") and "=" in word:
            own[key] = _value(word)
        if key not in (*OWN, "sampler") or key == "name":
            rest.append(word)
    for key, example in OWN.items():
        if own.get(key) is None:
            raise UserError(f"{key}: is missing, for example {example}")
    typed = read_words(rest)
    for word in typed.command:
        root = word.partition("=")[0].split(".")[0]
        if root in schema.OF_SEVERAL and root not in _TAKEN:
            raise UserError(f"{word}: tune does not take it")
    if typed.sweeps or len(typed.seeds or []) > 1:
        several = typed.sweeps[0] if typed.sweeps else "seed"
        raise UserError(f"{several}: takes one value; what is searched stands in space={{...}}")
    return own, typed


def _value(word: str) -> Any:
    _, (override,) = parse([word])
    if override.is_sweep_override():
        raise UserError(f"{word}: takes one value; what is searched stands in space={{...}}")
    return override.value()


def _search(own: dict[str, Any], typed: Typed) -> "tuple[Search, int]":
    from cnnlab.ablation.plan import refuse_folder
    from cnnlab.ablation.plan_files import is_multirun
    from cnnlab.ablation.search import SAMPLERS, Search
    from cnnlab.tracking.metric import better_when_high

    trials, metric, sampler = own["trials"], own["metric"], own.get("sampler", "tpe")
    if isinstance(trials, bool) or not isinstance(trials, int) or trials < 1:
        raise UserError(f"trials={trials}: must be a whole number, at least 1")
    if sampler not in SAMPLERS:
        raise UserError(
            f"sampler={sampler}: must be one of {', '.join(SAMPLERS)}"
            + nearest(str(sampler), SAMPLERS)
        )
    if not str(metric).startswith("val/"):
        raise UserError(f"metric={metric}: must begin with val/; what is chosen on test is spoilt")
    base = compose(typed.command)
    check(base, several=True)
    seed = (typed.seeds or [int(base.cfg.seed)])[0]
    words = [*typed.flags, *typed.settings, f"seed={seed}"]

    def composed_with(more: list[str]) -> Composed:
        composed = compose([*words, *more])
        check(composed)
        return composed

    plain = to_plain(composed_with([]).cfg)
    if fault := metric_fault(plain, metric):
        raise UserError(f"metric={metric}: {fault}")
    name = str(base.cfg.name)
    refuse_folder(name)
    folder = Path(base.cfg.runs) / name
    if is_multirun(folder):
        raise UserError(f"name={name}: {folder} holds a multirun; give the search another name")
    space = read_space(own["space"], words_set(typed.settings), composed_with, typed.is_group)
    found = Search(
        name=name,
        folder=folder,
        words=words,
        seed=seed,
        space=space,
        metric=metric,
        maximize=better_when_high(metric, [plain]),
        trials=trials,
        sampler=sampler,
        keep=base.cfg.keep,
        composed_with=composed_with,
    )
    return found, int(base.cfg.jobs)


def _states(study: "Study", name: str) -> "list[FrozenTrial]":
    return [trial for trial in study.trials if trial.state.name == name]


def report(search: "Search", study: "Study") -> Iterator[str]:
    """All trials in their order, why some failed, and what to type for the best."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from cnnlab.ablation.search import counted, folder_of, why_failed
    from cnnlab.ablation.tuning import words_of

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("trial", search.metric, *search.space):
        table.add_column(title, justify="right", no_wrap=True)
    trials = counted(search, study)
    for trial in trials:
        figure = f"{trial.value:.4f}" if trial.value is not None else _STATES[trial.state.name]
        values = (trial.params[key] for key in search.space)
        cells = (f"{one:.4g}" if isinstance(one, float) else str(one) for one in values)
        table.add_row(str(trial.number), figure, *map(Text, cells))
    out = StringIO()
    Console(file=out, width=200, color_system=None).print(table)
    yield ""
    yield from (line.rstrip() for line in out.getvalue().splitlines())
    yield ""
    for trial in (one for one in trials if one.state.name == "FAIL"):
        yield f"failed    trial {trial.number}: {why_failed(search, trial)}"
    for trial in (one for one in trials if one.state.name == "RUNNING"):
        yield f"open      trial {trial.number}: repeating the command goes on with it"
    if not _states(study, "COMPLETE"):
        yield f"best      none: no trial has a {search.metric}"
        return
    best = study.best_trial
    yield f"best      trial {best.number} of {len(trials)}: {search.metric} {best.value:.4f}"
    yield f"          {folder_of(search, best)}"
    words = [*search.words, *words_of({key: best.params[key] for key in search.space})]
    yield f"          {shlex.join(['python', 'train.py', *words])}"


_STATES = {"FAIL": "failed", "RUNNING": "open", "WAITING": "open", "PRUNED": "pruned"}

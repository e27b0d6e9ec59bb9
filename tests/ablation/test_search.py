"""`python -m cnnlab tune`: trials are runs, and a repeat goes on."""

import json
import os
import re
import shlex
import sys
from collections import Counter
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from cnnlab.ablation import search_verb
from cnnlab.ablation.claim import claim
from cnnlab.ablation.launch import TRAIN
from cnnlab.ablation.search import Search, search_on
from cnnlab.ablation.search_verb import tune_verb
from cnnlab.ablation.space import OneOf, Range
from cnnlab.config import Composed
from cnnlab.errors import UserError
from cnnlab.tracking.reading import read_run

optuna = pytest.importorskip("optuna")
FAKE = [sys.executable, "-S", str(Path(__file__).with_name("fake_scores.py"))]
SPACE = {
    "optimizer.lr": Range(1e-4, 0.1, log=True, whole=False),
    "model.groups": Range(1, 8, log=False, whole=True),
    "recipe": OneOf(["fast", "gentle"]),
}


class Lab:
    """`run(4)`: four trials of `SPACE` in `runs/<name>`."""

    def __init__(self, folder: Path) -> None:
        self.runs = folder / "runs"
        self.scores_file = folder / "scores.json"
        self.scores()
        self.forbidden = 0

    def composed_with(self, words: list[str]) -> Composed:
        if f"model.groups={self.forbidden}" in words:
            raise UserError("model.groups: does not go with it")
        cfg = OmegaConf.create({"seed": 3, "words": [w for w in words if "limit" not in w]})
        return Composed(cfg, {}, words, None)

    def search(self, trials: int, name: str = "mine", **changes) -> Search:
        parts = {"space": SPACE, "metric": "val/top1", "sampler": "random"} | changes
        return Search(
            name=name,
            folder=self.runs / name,
            words=["seed=3"],
            seed=3,
            maximize=True,
            trials=trials,
            keep="all",
            composed_with=self.composed_with,
            **parts,
        )

    def run(self, trials: int, name: str = "mine", jobs: int = 2, **changes):
        study, _ = search_on(self.search(trials, name, **changes), jobs=jobs, command=FAKE)
        return study

    def scores(self, **values) -> None:
        """By trial: `t1` for trial-001."""
        own = {f"trial-{int(name[1:]):03}": value for name, value in values.items()}
        self.scores_file.write_text(json.dumps(own))

    def trace(self) -> Counter[str]:
        """How often each trial was begun."""
        return Counter((self.scores_file.parent / "trace").read_text().split())


@pytest.fixture
def lab(tmp_path, monkeypatch) -> Lab:
    found = Lab(tmp_path)
    monkeypatch.setenv("FAKE_SCORES", str(found.scores_file))
    return found


def states(study) -> list[str]:
    return [trial.state.name for trial in study.trials]


def test_trials_run_once_within_the_space_and_more_go_on(lab):
    lab.scores(t1=0.9)
    study = lab.run(3)
    assert [trial.value for trial in study.trials] == [0.5, 0.9, 0.5]
    for trial in study.trials:
        assert 1e-4 <= trial.params["optimizer.lr"] <= 0.1
        assert trial.params["model.groups"] in range(1, 9)
        words = read_run(lab.runs / "mine" / f"trial-{trial.number:03}").overrides
        assert f"recipe={trial.params['recipe']}" in words
        assert f"optimizer.lr={trial.params['optimizer.lr']}" in words
        assert "trainer.limit_test_batches=0" in words
    assert study.best_trial.number == 1
    assert len(lab.run(3).trials) == 3
    assert len(lab.run(4).trials) == 4
    assert lab.trace() == {f"trial-{n:03}": 1 for n in range(4)}


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_search_in_parts_asks_what_a_whole_one_asks(lab, sampler):
    lab.run(1, "parts", jobs=1, sampler=sampler)
    parts = lab.run(3, "parts", jobs=1, sampler=sampler)
    whole = lab.run(3, "whole", jobs=1, sampler=sampler)
    params = [trial.params for trial in whole.trials]
    assert [trial.params for trial in parts.trials] == params
    assert len({str(one) for one in params}) == 3


def test_what_was_stopped_goes_on_and_nothing_else_is_repeated(lab):
    lab.scores(t1="stop")
    study = lab.run(4, jobs=1)
    assert states(study) == ["COMPLETE", "RUNNING"]
    point = study.trials[1].params
    lab.scores(t1=0.9)
    study = lab.run(4, jobs=1)
    assert states(study) == ["COMPLETE"] * 4
    assert study.trials[1].params == point
    assert study.trials[1].value == 0.9
    assert lab.trace() == {f"trial-{n:03}": 1 for n in range(4)} | {"trial-001": 2}


def test_a_trial_that_was_killed_before_it_had_all_its_values_is_no_trial(lab):
    study = lab.run(1)
    study.ask().suggest_categorical("recipe", ["fast", "gentle"])
    study = lab.run(2)
    assert states(study) == ["COMPLETE", "FAIL", "COMPLETE"]
    assert set(lab.trace()) == {"trial-000", "trial-002"}


def test_a_failed_trial_counts_and_says_why(lab, capsys):
    lab.scores(t0="diverge", t1="crash", t2=0.3)
    study = lab.run(3)
    assert states(study) == ["FAIL", "FAIL", "COMPLETE"]
    assert lab.run(3).best_trial.number == 2
    said = "\n".join(search_verb.report(lab.search(3), study))
    assert "failed    trial 0: NonFiniteLossError: loss is nan" in said
    assert "failed    trial 1: OSError: no such file" in said
    assert "best      trial 2 of 3: val/top1 0.3000" in said
    assert set(lab.trace().values()) == {1}


def test_values_that_do_not_go_together_are_a_failed_trial(lab):
    lab.forbidden = lab.run(1, "first").trials[0].params["model.groups"]
    study = lab.run(2)
    assert states(study)[0] == "FAIL"
    assert study.trials[0].user_attrs == {"reason": "model.groups: does not go with it"}


def test_another_search_needs_another_name(lab):
    lab.run(1)
    other = {"recipe": OneOf(["fast", "gentle"])}
    with pytest.raises(UserError, match=r"name=mine: .* holds a search with another space; give"):
        lab.run(1, space=other)
    with pytest.raises(UserError, match="another metric"):
        lab.run(1, metric="val/loss")


def test_a_search_that_was_renamed_goes_on(lab):
    lab.run(2)
    (lab.runs / "mine").rename(lab.runs / "yours")
    assert len(lab.run(3, "yours").trials) == 3
    assert lab.trace() == {f"trial-{n:03}": 1 for n in range(3)}


def test_a_line_that_a_power_cut_tore_is_cut_off(lab):
    lab.run(2)
    journal = lab.runs / "mine" / "trials.journal"
    with journal.open("a") as file:
        file.write(journal.read_text()[:20])
    assert states(lab.run(3)) == ["COMPLETE"] * 3
    assert states(lab.run(3)) == ["COMPLETE"] * 3


@pytest.mark.parametrize("text", ["not a journal\n", "[1]\n", "{}\n"])
def test_a_journal_that_is_none_is_one_line(lab, text):
    lab.run(1)
    (lab.runs / "mine" / "trials.journal").write_text(text * 2)
    with pytest.raises(UserError, match=r"trials\.journal: Optuna cannot read it \(.*move it away"):
        lab.run(1)


def test_one_process_searches_at_a_time(lab):
    lab.run(1)
    lock = claim(lab.runs / "mine" / "search")
    with pytest.raises(UserError, match="another process searches in"):
        lab.run(2)
    os.close(lock)


def test_the_best_words_are_what_the_trial_ran(lab):
    lab.scores(t1=0.9)
    study = lab.run(2)
    *_, last = search_verb.report(lab.search(2), study)
    ran = read_run(lab.runs / "mine" / "trial-001").overrides
    python, program, *words = shlex.split(last)
    assert (python, program) == ("python", "train.py")
    assert [*words, "trainer.limit_test_batches=0"] == ran


# The command line -------------------------------------------------------------------------------

TYPED = {
    "space": "space={optimizer.lr: [1e-4, 1e-1, log], recipe: [fast, gentle]}",
    "trials": "trials=2",
    "metric": "metric=val/top1",
    "name": "name=mine",
}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"space": None}, "space: is missing, for example 'space="),
        ({"trials": None}, "trials: is missing, for example trials=20"),
        ({"name": "name=null"}, "name: is missing, for example name=NAME"),
        ({"trials": "trials=0"}, "trials=0: must be a whole number, at least 1"),
        ({"metric": "metric=test/top1"}, r"metric=test/top1: must begin with val/"),
        ({"metric": "metric=val/topl"}, r"metric=val/topl: not logged; did you mean 'val/top"),
        ({"sampler": "sampler=tpf"}, "sampler=tpf: must be one of tpe, random; did you mean 'tpe'"),
        ({"more": "dry=true"}, "dry=true: tune does not take it"),
        ({"more": "seed=1,2"}, "seed: takes one value"),
        ({"trials": "trials=2,3"}, "trials=2,3: takes one value"),
        ({"trials": "trials=many"}, "trials=many: must be a whole number"),
        ({"space": "space={optimizer.lr: [0.1, inf]}"}, "the bounds must be finite"),
        ({"name": "name=a/b"}, "name=a/b: names a folder here"),
        ({"more": "optimizer.lrr=1"}, "optimizer.lrr: no such config key; did you mean"),
        ({"more": "ablation=wrn_width"}, "ablation=wrn_width: tune does not take it"),
        ({"more": "resume=runs/x"}, "resume=runs/x: repeating the command goes on"),
        ({"more": "-m"}, "takes no options of Hydra's"),
        ({"space": "space={optimizer.lrr: [0, 1]}"}, r"space\.optimizer\.lrr: no such config key"),
        ({"space": "space={optimizer.lr: [1, 0.1]}"}, r"space\.optimizer\.lr=.*: the lower bound"),
        ({"space": "space={optimizer.lr: [-1.0, 0.1]}"}, r"space\.optimizer\.lr: optimizer\.lr=-1"),
    ],
)
def test_mistakes_are_one_line(changes, said):
    words = [word for word in (TYPED | changes).values() if word]
    with pytest.raises(UserError, match=said) as caught:
        tune_verb(words)
    assert "\n" not in str(caught.value)


# The second is there while the arms are still being tuned.
@pytest.mark.parametrize("holds", ["plan.json", "tuning"])
def test_a_multirun_is_not_searched_in(tmp_path, holds):
    (tmp_path / "mine" / holds).mkdir(parents=True)
    with pytest.raises(UserError, match=r"name=mine: .*mine holds a multirun; give the search ano"):
        tune_verb([*TYPED.values(), f"runs={tmp_path}"])


def test_without_optuna_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(search_verb, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"optuna is not installed: pip install -e '\.\[tune\]'"):
        tune_verb(list(TYPED.values()))


def test_by_the_command_line(lab, capsys):
    lab.scores(t1=0.75)
    words = [*TYPED.values(), f"runs={lab.runs}", "logger=none", "model=lenet5_modern"]
    assert tune_verb(words, FAKE) == 0
    said = capsys.readouterr().out
    assert re.search(r"^ *trial +val/top1 +optimizer\.lr +recipe$", said, re.M)
    assert "best      trial 1 of 2: val/top1 0.7500" in said
    assert "python train.py " in said
    lab.scores(t0="crash")
    assert tune_verb([*words, "trials=2"], FAKE) == 0  # nothing is run again


@pytest.mark.slow
def test_real_trainings(tmp_path, capsys):
    words = [
        *("model=lenet5_modern", "logger=none", "trainer.max_epochs=2", "trainer.threads=1"),
        *("data.fraction=0.2", "callbacks.pictures=null", f"runs={tmp_path}", "name=lr"),
        *("space={optimizer.lr: [1e-4, 1e-1, log]}", "trials=3", "metric=val/top1"),
    ]
    assert tune_verb(words, TRAIN) == 0
    runs = [read_run(tmp_path / "lr" / f"trial-{n:03}") for n in range(3)]
    figures = [run.metrics["val/top1"] for run in runs]
    assert f": val/top1 {max(figures):.4f}" in capsys.readouterr().out
    for run in runs:
        assert run.status == "finished"
        assert not [key for key in run.metrics if key.startswith("test/")]

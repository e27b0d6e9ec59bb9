"""Every arm gets the same search on val; what is chosen stays chosen."""

import json
import re
import sys
from collections import Counter
from pathlib import Path

import pytest

from cnnlab.ablation.command import multirun
from cnnlab.ablation.costs import Costs
from cnnlab.ablation.launch import launch
from cnnlab.ablation.plan import plan
from cnnlab.complexity.count import Cost
from cnnlab.config import compose, to_plain
from cnnlab.errors import UserError
from cnnlab.tracking.find import find
from cnnlab.tracking.identity import identity

FAKE = [sys.executable, "-S", str(Path(__file__).with_name("fake_scores.py"))]
LR = {"optimizer.lr": [0.05, 0.1]}


class Lab:
    """`run(*words)`: the ablation `mine` with arms one and two, tuned in `tune`, in `folder`."""

    def __init__(self, write, folder: Path) -> None:
        self._write = write
        self.folder = folder / "runs" / "mine"
        self.scores_file = folder / "scores.json"
        self.scores()
        self.tune: dict = LR

    def words(self, **parts) -> list[str]:
        return self._write(hold=None, seeds=[1, 2], **{"tune": self.tune} | parts)

    def run(self, *words: str) -> int:
        return multirun([*self.words(), "arms=one,two", *words])

    def scores(self, **values) -> None:
        """By folder name: `one_lr0.05` for one@lr0.05-s1000."""
        own = {f"{name.replace('_', '@')}-s1000": value for name, value in values.items()}
        self.scores_file.write_text(json.dumps(own))

    def trace(self) -> Counter[str]:
        return Counter((self.scores_file.parent / "trace").read_text().split())

    def used(self) -> dict[str, list[float]]:
        """The learning rates with which each arm's runs counted."""
        jobs = json.loads((self.folder / "plan.json").read_text())["jobs"]
        found: dict[str, list[float]] = {}
        for job in jobs:
            found.setdefault(job["arm"], []).append(compose(job["words"]).cfg.optimizer.lr)
        return found


@pytest.fixture
def lab(write, tmp_path, monkeypatch) -> Lab:
    monkeypatch.setattr(Costs, "of", lambda self, cfg: Cost(1, 1, 1, 1, (1, 32, 32), []))
    monkeypatch.setitem(launch.__kwdefaults__, "command", FAKE)
    found = Lab(write, tmp_path)
    monkeypatch.setenv("FAKE_SCORES", str(found.scores_file))
    return found


TUNING = {f"{arm}@lr{lr}-s1000": 1 for arm in ("one", "two") for lr in (0.05, 0.1)}
COUNTED = {f"{arm}-s{seed}": 1 for arm in ("one", "two") for seed in (1, 2)}


def test_each_arm_counts_with_its_best_on_val_and_a_repeat_chooses_nothing(lab, capsys):
    lab.scores(**{"one_lr0.05": 0.7, "one_lr0.1": 0.6, "two_lr0.05": 0.7, "two_lr0.1": 0.8})
    assert lab.run() == 0
    assert lab.trace() == TUNING | COUNTED
    assert lab.used() == {"one": [0.05, 0.05], "two": [0.1, 0.1]}
    said = capsys.readouterr().out
    assert "optimizer.lr in {0.05, 0.1} by val/top1, 1 seed (1000)" in said
    assert "tuned     two: optimizer.lr=0.1; tried optimizer.lr=0.05 0.7000, " in said
    # Other figures, or none at all: the choice stands.
    before = json.loads((lab.folder / "tuned.json").read_text())
    lab.scores(**{"one_lr0.1": 0.9})
    for path in (lab.folder / "tuning").glob("*/run.json"):
        path.unlink()
    assert lab.run() == 0
    assert lab.trace() == TUNING | COUNTED
    assert json.loads((lab.folder / "tuned.json").read_text()) == before
    assert json.loads((lab.folder / "ablation.json").read_text())["tuned"] == before


def test_tuning_never_tests_and_is_not_compared(lab):
    assert lab.run() == 0
    records = [json.loads(p.read_text()) for p in (lab.folder / "tuning").glob("*/run.json")]
    assert len(records) == 4
    assert not [key for one in records for key in one["metrics"] if key.startswith("test/")]
    assert {run.folder.name for run in find([lab.folder])} == set(COUNTED)
    assert len(find([lab.folder / "tuning"])) == 4


def test_the_jobs_are_what_their_words_say_and_all_arms_have_the_same_grid(lab):
    tuning = plan([*lab.words(), "arms=one,two"]).tuning
    assert {job.folder.name for job in tuning.plan.jobs} == set(TUNING)
    for job in tuning.plan.jobs:
        cfg = compose(job.words).cfg
        assert identity(to_plain(cfg)) == job.identity
        assert (cfg.seed, cfg.trainer.limit_test_batches) == (1000, 0)
    one, two = ([c.point for c in tuning.candidates[arm]] for arm in ("one", "two"))
    assert one == two == [{"optimizer.lr": 0.05}, {"optimizer.lr": 0.1}]


def test_of_equals_the_first_counts_and_that_is_said(lab, capsys):
    assert lab.run() == 0  # all have 0.5
    assert lab.used() == {"one": [0.05, 0.05], "two": [0.05, 0.05]}
    assert "as good: optimizer.lr=0.1; the first in the file counts" in capsys.readouterr().out


def test_a_point_that_diverges_is_left_out(lab, capsys):
    lab.scores(**{"one_lr0.05": "diverge", "one_lr0.1": 0.2})
    assert lab.run() == 0
    assert lab.used()["one"] == [0.1, 0.1]
    assert "tried optimizer.lr=0.05 diverged, optimizer.lr=0.1 0.2000" in capsys.readouterr().out


def test_where_all_diverge_nothing_that_counts_is_started(lab, capsys):
    lab.scores(**{"one_lr0.05": "diverge", "one_lr0.1": "diverge"})
    assert lab.run() == 1
    assert set(lab.trace()) == set(TUNING)
    assert "untuned   one: no point of its grid can be had" in capsys.readouterr().out


def test_a_crash_is_no_result_and_is_tried_again_alone(lab, capsys):
    lab.scores(**{"one_lr0.05": "crash", "one_lr0.1": 0.4})
    assert lab.run() == 1
    assert lab.trace() == TUNING
    assert not (lab.folder / "tuned.json").exists()
    assert "one@lr0.05-s1000 is failed: OSError" in capsys.readouterr().out
    lab.scores(**{"one_lr0.05": 0.9})
    assert lab.run() == 0
    assert lab.trace() == TUNING | COUNTED | {"one@lr0.05-s1000": 2}
    assert lab.used()["one"] == [0.05, 0.05]


def test_more_arms_and_seeds_later_keep_what_was_chosen(lab):
    lab.scores(**{"one_lr0.1": 0.9})
    assert multirun([*lab.words(), "arms=one", "seed=1"]) == 0
    lab.scores(**{"one_lr0.05": 0.95})
    assert lab.run("seed=1,2,3") == 0
    assert lab.used() == {"one": [0.1] * 3, "two": [0.05] * 3}
    assert lab.trace()["one@lr0.05-s1000"] == 1


def test_another_search_is_no_silent_one(lab):
    assert lab.run() == 0
    lab.tune = {"optimizer.lr": [0.05, 0.1, 0.2]}
    with pytest.raises(UserError, match=r"stale=null: .*tuned\.json .*one, two; allowed: keep"):
        lab.run()
    assert lab.run("stale=keep") == 0
    assert lab.trace() == TUNING | COUNTED
    lab.scores(**{"one_lr0.2": 0.9})
    assert lab.run("stale=rerun") == 0
    assert lab.used()["one"] == [0.2, 0.2]


def test_the_mean_over_several_seeds_and_keys_decides(lab):
    lab.tune = LR | {"optimizer.weight_decay": [0.0, 0.1], "seeds": [7, 8]}
    best = "two@lr0.1-weight_decay0.0"
    own = {f"{best}-s7": 0.9, f"{best}-s8": 0.3, "two@lr0.05-weight_decay0.1-s7": 0.65}
    lab.scores_file.write_text(json.dumps(own))  # means 0.6 and 0.575
    assert lab.run() == 0
    assert lab.used()["two"] == [0.1, 0.1]
    assert sum("@" in name for name in lab.trace()) == 2 * 4 * 2


def test_dry_says_how_many_runs_come_before(lab, capsys):
    assert lab.run("dry=true", "data=cifar10", f"data.root={lab.folder}") == 0
    said = capsys.readouterr().out
    assert re.search(r"^tuning   4 runs before: 2 arms, 2 points, optimizer\.lr in", said, re.M)
    assert re.search(r"^runs     4: 2 arms", said, re.M)


@pytest.mark.parametrize(
    ("tune", "words", "said"),
    [
        (LR, ["optimizer.lr=0.2"], r"optimizer\.lr: tuned for each arm"),
        (LR, ["seed=1000"], r"ablation\.tune\.seeds=1000: is a seed of the runs that count"),
        ({"optimizer.lrr": [1]}, [], r"optimizer\.lrr: no such .*did you mean 'optimizer\.lr'"),
        ({"optimizer.lr": [-1.0]}, [], r"optimizer\.lr=-1\.0: must be above 0"),
        ({"optimizer.lr": [0.1, 0.1]}, [], r"0\.1 stands there twice"),
        ({"model.groups": [1, 2]}, [], r"ablation\.tune\.model\.groups: arm one sets it"),
        ({"seed": [1, 2]}, [], r"ablation\.tune\.seed: cannot be set here"),
        ({"seeds": [5]}, [], r"ablation\.tune: no key to search"),
        (LR | {"seeds": ["a"]}, [], r"ablation\.tune\.seeds=a: must be a whole number"),
    ],
)
def test_mistakes_are_one_line(lab, tune, words, said):
    lab.tune = tune
    with pytest.raises(UserError, match=said) as caught:
        lab.run(*words)
    assert "\n" not in str(caught.value)


def test_a_metric_without_a_counterpart_on_val(lab):
    with pytest.raises(UserError, match=r"ablation\.tune: cost/gmacs has no counterpart on val"):
        multirun(lab.words(metric="cost/gmacs"))


def test_what_is_held_cannot_be_tuned_away(write):
    words = write(tune={"model.width": [16, 32]})
    with pytest.raises(UserError, match=r"ablation\.tune: model\.width=\d+ changes what arm"):
        plan([*words, "arms=one"])

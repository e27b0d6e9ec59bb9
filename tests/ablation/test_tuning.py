"""Every arm gets the same search on val; what is chosen stays chosen."""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from omegaconf import OmegaConf

from cnnlab.ablation.arm import Arm
from cnnlab.ablation.choice import Choice, Tried
from cnnlab.ablation.command import multirun
from cnnlab.ablation.costs import Costs
from cnnlab.ablation.definition import Ablation
from cnnlab.ablation.job import Job, Plan
from cnnlab.ablation.launch import launch
from cnnlab.ablation.plan import Planned, plan
from cnnlab.ablation.to_do import ToDo, to_do
from cnnlab.ablation.tuned import tuned
from cnnlab.ablation.tuning import lines, tuning
from cnnlab.complexity.count import Cost
from cnnlab.config import Composed, compose, to_plain
from cnnlab.errors import UserError
from cnnlab.tracking.find import find
from cnnlab.tracking.identity import identity

FAKE = [sys.executable, "-S", str(Path(__file__).with_name("fake_scores.py"))]
LR = {"optimizer.lr": [0.05, 0.1]}
CONFIG = {
    "seed": 0,
    "model": {"groups": 0},
    "optimizer": {"lr": 0.0, "weight_decay": 0.0},
    "trainer": {"limit_test_batches": 1.0},
}


def small(name: str, words: list[str]) -> Composed:
    """A config that is composed in no time."""
    cfg = OmegaConf.create(CONFIG)
    for word in words:
        key, _, value = word.partition("=")
        OmegaConf.update(cfg, key, yaml.safe_load(value))
    return Composed(cfg, {}, words, None)


class Lab:
    """Arms one and two, searched in `tune` under `seeds`, their runs in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "runs" / "mine"
        self.scores_file = folder / "scores.json"
        self.scores()
        self.tune: dict = LR
        self.seeds = [1000]
        self.arms: list[Arm] = []

    def planned(self, names: Sequence[str]) -> Planned:
        words = {name: [f"model.groups={name}"] for name in names}
        arms = [Arm(name, own, small(name, own), {}, None) for name, own in words.items()]
        ablation = Ablation(
            *("mine", "a claim", "a test", "small", {arm.name: arm.words for arm in arms}),
            *("one", "test/top1", [1], [], None, None, self.tune, self.seeds, {}),
        )
        before = tuning(ablation, arms, "mine", self.folder, [1], False, small, lambda composed: {})
        jobs = [
            Job(arm.name, 1, arm.words, self.folder / f"{arm.name}-s1", "", None) for arm in arms
        ]
        own = Plan("mine", self.folder, ablation.to_plain(), jobs, "test/top1")
        return Planned(own, arms, "one", None, None, [], before)

    def run(self, *, stale: str | None = None, arms: Sequence[str] = ("one", "two")) -> int:
        """Tune; what counts is not run."""
        planned, code = tuned(self.planned(arms), jobs=4, stale=stale, slurm=None)
        self.arms = planned.arms
        return code

    def scores(self, **values) -> None:
        """By folder name: `one_lr0.05` for one@lr0.05-s1000."""
        own = {f"{name.replace('_', '@')}-s1000": value for name, value in values.items()}
        self.scores_file.write_text(json.dumps(own))

    def trace(self) -> Counter[str]:
        """How often each run was begun."""
        return Counter((self.scores_file.parent / "trace").read_text().split())

    def used(self) -> dict[str, float]:
        """The learning rate that each arm would count with."""
        return {arm.name: arm.composed.cfg.optimizer.lr for arm in self.arms}


@pytest.fixture
def lab(tmp_path, monkeypatch) -> Lab:
    monkeypatch.setitem(launch.__kwdefaults__, "command", FAKE)
    found = Lab(tmp_path)
    monkeypatch.setenv("FAKE_SCORES", str(found.scores_file))
    return found


TUNING = {f"{arm}@lr{lr}-s1000": 1 for arm in ("one", "two") for lr in (0.05, 0.1)}
COUNTED = {f"{arm}-s{seed}": 1 for arm in ("one", "two") for seed in (1, 2)}


def test_each_arm_counts_with_its_best_on_val_and_a_repeat_chooses_nothing(
    lab, write, capsys, monkeypatch
):
    """All of it, by the command line."""
    monkeypatch.setattr(Costs, "of", lambda self, cfg: Cost(1, 1, 1, 1, (1, 32, 32), []))
    words = [*write(hold=None, seeds=[1, 2], tune=LR), "arms=one,two", "jobs=4"]
    lab.scores(**{"one_lr0.05": 0.7, "one_lr0.1": 0.6, "two_lr0.05": 0.7, "two_lr0.1": 0.8})
    assert multirun(words) == 0
    assert lab.trace() == TUNING | COUNTED
    said = capsys.readouterr().out
    assert "optimizer.lr in {0.05, 0.1} by val/top1, 1 seed (1000)" in said
    assert (
        "two: optimizer.lr=0.1 (at the edge of the grid); tried optimizer.lr=0.05 0.7000, " in said
    )
    records = {p.parent.name: json.loads(p.read_text()) for p in lab.folder.rglob("run.json")}
    rates = {"one": "optimizer.lr=0.05", "two": "optimizer.lr=0.1"}
    for name in COUNTED:
        assert rates[name[:3]] in records[name]["overrides"]
    # What was tuned saw no test split, and is nothing to compare.
    tested = {name for name, own in records.items() if "test/top1" in own["metrics"]}
    assert tested == set(COUNTED)
    assert {run.folder.name for run in find([lab.folder])} == set(COUNTED)
    assert len(find([lab.folder / "tuning"])) == 4
    # Other figures, or none at all: the choice stands.
    before = json.loads((lab.folder / "tuned.json").read_text())
    for path in (lab.folder / "tuning").glob("*/run.json"):
        path.unlink()
    assert multirun(words) == 0
    assert lab.trace() == TUNING | COUNTED
    assert json.loads((lab.folder / "tuned.json").read_text()) == before
    assert json.loads((lab.folder / "ablation.json").read_text())["tuned"] == before


def test_the_jobs_are_what_their_words_say(write, monkeypatch):
    monkeypatch.setattr(Costs, "of", lambda self, cfg: Cost(1, 1, 1, 1, (1, 32, 32), []))
    found = plan([*write(hold=None, tune=LR), "arms=one,two"]).tuning
    assert {job.folder.name for job in found.plan.jobs} == set(TUNING)
    for job in found.plan.jobs[:2]:
        cfg = compose(job.words).cfg
        assert identity(to_plain(cfg)) == job.identity
        assert (cfg.seed, cfg.trainer.limit_test_batches) == (1000, 0)


def test_all_arms_have_the_same_grid(lab):
    lab.tune = LR | {"optimizer.weight_decay": [0.0, 0.1]}
    found = lab.planned(("one", "two")).tuning
    one, two = ([candidate.point for candidate in own] for own in found.candidates.values())
    assert one == two
    pairs = [(0.05, 0), (0.05, 0.1), (0.1, 0), (0.1, 0.1)]
    assert [tuple(point.values()) for point in one] == pairs
    (line,) = lines(found)
    assert line.startswith("tuning   8 runs before: 2 arms, 4 points, optimizer.lr in {0.05, 0.1}")


def test_of_equals_the_first_counts_and_that_is_said(lab, capsys):
    assert lab.run() == 0  # all have 0.5
    assert lab.used() == {"one": 0.05, "two": 0.05}
    assert "as good: optimizer.lr=0.1; the first in the file counts" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("values", "chosen", "edge"),
    [
        ([0.1, 0.2, 0.4], 0.1, True),
        ([0.2, 0.4, 0.1], 0.1, True),
        ([0.1, 0.2, 0.4], 0.4, True),
        ([0.1, 0.2, 0.4], 0.2, False),
        ([1, 2], 2, True),
        ([0.1], 0.1, False),
        ([None, 0.1], 0.1, False),
        ([None, 0.1, 0.2], None, False),
        (["a", "b"], "b", False),
        ([False, True], True, False),
    ],
)
def test_a_choice_at_the_edge_of_its_grid_is_said(values, chosen, edge):
    """The best value may lie beyond it."""
    tried = [Tried({"x.y": 1, "a.b": value}, 0.5, None) for value in values]
    text = str(Choice({"x.y": 1, "a.b": chosen}, "", [], tried)).partition(";")[0]
    assert text.startswith("x.y=1 a.b=")  # one value is no grid
    assert text.endswith(" (at the edge of the grid)") is edge


def test_a_point_that_diverges_is_left_out(lab, capsys):
    lab.scores(**{"one_lr0.05": "diverge", "one_lr0.1": 0.2})
    assert lab.run() == 0
    assert lab.used()["one"] == 0.1
    assert "tried optimizer.lr=0.05 diverged, optimizer.lr=0.1 0.2000" in capsys.readouterr().out


def test_where_all_diverge_there_is_no_choice(lab, capsys):
    lab.scores(**{"one_lr0.05": "diverge", "one_lr0.1": "diverge"})
    assert lab.run() == 1
    assert not (lab.folder / "tuned.json").exists()
    assert "untuned   one: no point of its grid can be had" in capsys.readouterr().out


def test_a_crash_is_no_result_and_is_tried_again_alone(lab, capsys):
    lab.scores(**{"one_lr0.05": "crash", "one_lr0.1": 0.4})
    assert lab.run() == 1
    assert lab.trace() == TUNING
    assert not (lab.folder / "tuned.json").exists()
    assert "one@lr0.05-s1000 is failed: OSError" in capsys.readouterr().out
    with pytest.raises(UserError, match="but tuning runs, which do not count"):
        find([lab.folder])
    lab.scores(**{"one_lr0.05": 0.9})
    assert lab.run() == 0
    assert lab.trace() == TUNING | {"one@lr0.05-s1000": 2}
    assert lab.used()["one"] == 0.05


def test_arms_that_come_later_leave_what_was_chosen(lab):
    lab.scores(**{"one_lr0.1": 0.9})
    assert lab.run(arms=["one"]) == 0
    lab.scores(**{"one_lr0.05": 0.95})
    assert lab.run() == 0
    assert lab.used() == {"one": 0.1, "two": 0.05}
    assert lab.trace() == TUNING


def test_what_earlier_commands_ran_of_other_arms_is_not_lost_by_tuning(lab):
    planned = lab.planned(["one"])
    job = Job("two", 1, [], lab.folder / "two-s1", "of two", None)
    planned = replace(planned, plan=replace(planned.plan, others=[job]))
    assert planned.with_arms(planned.arms, {}).plan.others == [job]


def test_tuning_runs_are_to_do_for_arms_without_a_choice(lab):
    def left(names: Sequence[str]) -> tuple[ToDo, dict[str, int]]:
        planned = replace(lab.planned(names), cfg=SimpleNamespace(stale=None))
        found = to_do(planned)
        return found, found.runs(planned)

    assert lab.run(arms=["one"]) == 0
    (counted,) = lab.planned(["one"]).with_arms(lab.arms, {}).plan.jobs
    counted.folder.mkdir()
    record = {"status": "finished", "identity": counted.identity}  # of the arm as it was tuned
    (counted.folder / "run.json").write_text(json.dumps(record))
    found, runs = left(("one", "two"))
    assert (found.chosen, str(found.tuning)) == (["one"], "")
    assert (runs, str(found.counted)) == ({"one": 0, "two": 1 + 2}, "; 1 finished, 1 to do")
    (lab.folder / "tuned.json").unlink()  # its runs are there, and the choice is soon made
    found, runs = left(("one", "two"))
    assert str(found.tuning) == "; 2 finished, 2 to do"
    assert (found.chosen, runs["two"]) == ([], 1 + 2)
    other = Job("three", 1, [], counted.folder, "another config", None)
    planned = replace(lab.planned(["one"]), cfg=SimpleNamespace(stale=None))
    assert to_do(replace(planned, plan=replace(planned.plan, others=[other]))).others == 1


def test_another_search_is_no_silent_one(lab):
    assert lab.run() == 0
    lab.tune = {"optimizer.lr": [0.05, 0.1, 0.2]}
    with pytest.raises(UserError, match=r"stale=null: .*tuned\.json .*one, two; allowed: keep"):
        lab.run()
    assert lab.run(stale="keep") == 0
    assert lab.used()["one"] == 0.05
    assert lab.trace() == TUNING
    lab.scores(**{"one_lr0.2": 0.9})
    assert lab.run(stale="rerun") == 0
    assert lab.used()["one"] == 0.2
    assert lab.trace() == TUNING | {"one@lr0.2-s1000": 1, "two@lr0.2-s1000": 1}
    lab.tune = {"optimizer.lr": [0.05]}
    with pytest.raises(UserError, match=r"stale=keep: arm one was tuned to .*0\.2"):
        lab.run(stale="keep")


def test_the_mean_over_several_seeds_decides(lab):
    lab.seeds = [7, 8]
    own = {"two@lr0.1-s7": 0.9, "two@lr0.1-s8": 0.3, "two@lr0.05-s7": 0.65}
    lab.scores_file.write_text(json.dumps(own))  # 0.6 and 0.575
    assert lab.run() == 0
    assert lab.used()["two"] == 0.1
    assert len(lab.trace()) == 2 * 2 * 2


@pytest.mark.parametrize(
    ("tune", "words", "said"),
    [
        (LR, ["optimizer.lr=0.2"], r"^optimizer\.lr: tuned for each arm"),
        # What is typed replaces what the file says.
        (
            LR,
            ["ablation.tune={optimizer.lrr: [1, 2]}"],
            r"^arm one: optimizer\.lrr: no such .*'optimizer\.lr'",
        ),
        ({"optimizer.lr": [-1.0, 1.0]}, [], r"optimizer\.lr=-1\.0: must be above 0"),
    ],
)
def test_mistakes_are_one_line(write, tune, words, said):
    with pytest.raises(UserError, match=said) as caught:
        plan([*write(hold=None, tune=tune), *words])
    assert "\n" not in str(caught.value)


def test_a_tuning_seed_must_not_count(lab):
    lab.seeds = [1]
    with pytest.raises(UserError, match=r"ablation\.tune\.seeds=1: is a seed of the runs that"):
        lab.run()


def test_what_is_held_cannot_be_tuned_away(write, monkeypatch):
    def of(self, cfg) -> Cost:
        return Cost(cfg.model.width, 1, 1, 1, (1, 32, 32), [])

    monkeypatch.setattr(Costs, "of", of)
    with pytest.raises(UserError, match=r"ablation\.tune: model\.width=\d+ changes what arm"):
        plan([*write(tune={"model.width": [16, 32]}), "arms=one"])

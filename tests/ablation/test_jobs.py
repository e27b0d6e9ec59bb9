"""Runs of arms that a command leaves out, as they would be run now; no net is counted."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from cnnlab.ablation.choice import Choice, Tried
from cnnlab.ablation.definition import Hold
from cnnlab.ablation.job import Job, Plan
from cnnlab.ablation.jobs import of_other_arms
from cnnlab.ablation.plan_files import write_plan
from cnnlab.config import Composed
from cnnlab.tracking.identity import identity

HOLD = Hold("params", "model.width", 0.05)
SOLVED = {"key": "model.width", "value": 3, "holds": "params"}
LR = {"optimizer.lr": [0.05, 0.1]}
WORDS = ["model.groups=2"]


def composed(name: str, words: list[str]) -> Composed:
    cfg = {"seed": 0, "model": {"groups": 1, "width": 8}, "optimizer": {"lr": 0.1}}
    return Composed(OmegaConf.merge(cfg, OmegaConf.from_dotlist(words)), {}, words, None)


@pytest.mark.parametrize(
    ("ran", "solved", "lr", "hold", "tune", "same"),
    [
        (WORDS, None, None, None, None, True),
        (["model.groups=4"], None, None, None, None, False),
        # The knob of then, if it still holds the same.
        ([*WORDS, "model.width=3"], SOLVED, None, HOLD, None, True),
        ([*WORDS, "model.width=3"], SOLVED, None, None, None, False),
        ([*WORDS, "model.width=3"], SOLVED, None, Hold("macs", HOLD.solve, 0.05), None, False),
        ([*WORDS, "optimizer.lr=0.05"], None, 0.05, None, LR, True),
        ([*WORDS, "optimizer.lr=0.05"], None, 0.05, None, None, False),
        ([*WORDS, "optimizer.lr=0.05"], None, 0.05, None, {"optimizer.lr": [0.05]}, False),
        # One arm tuned, the other not: also where the values happen to be those of the file.
        ([*WORDS, "optimizer.lr=0.1"], None, None, None, LR, False),
    ],
)
def test_an_arm_is_the_same_if_its_words_are(tmp_path: Path, ran, solved, lr, hold, tune, same):
    cfg = OmegaConf.to_container(composed("two", [*ran, "seed=1"]).cfg)
    assert isinstance(cfg, dict)
    job = Job("two", 1, ran, tmp_path / "two-s1", identity(cfg), None, solved)
    write_plan(Plan("x", tmp_path, None, [job], None), None)
    if lr is not None:
        tried = [Tried({"optimizer.lr": one}, 0.5, None) for one in LR["optimizer.lr"]]
        choice = Choice({"optimizer.lr": lr}, "a search", [], tried)
        text = json.dumps({"arms": {"two": asdict(choice)}})
        (tmp_path / "tuned.json").write_text(text)
    (found,) = of_other_arms({"two": WORDS}, tmp_path, hold, tune, composed)
    assert (found.name, found.identity == job.identity) == ("two-s1", same)
    assert of_other_arms({"one": []}, tmp_path, hold, tune, composed) == []

"""Runs of people who only use W&B: where their seed stands, and what every run has for itself."""

from pathlib import Path

import pytest

from cnnlab.errors import UserError
from cnnlab.tracking.compare import compare
from cnnlab.tracking.wandb_parts import Part, run_data


def theirs(number, seed, lr, where="random_seed"):
    """A run whose config names its seed `where`, and its own folder and start."""
    config = {"lr": lr, "io": {"output_dir": f"/out/{number}"}, "started": 1700000000 + number}
    *nodes, last = where.split(".")
    node = config
    for name in nodes:
        node = node.setdefault(name, {})
    node[last] = seed
    part = Part(
        Path(f"w{number}"), f"w{number}", config=config, summary={"acc": 0.5 + number / 100}
    )
    part.status = "finished"
    return run_data([part], pytest.fail)


def compared(runs, ignore=()):
    how = {"metric": "acc", "cost": "gmacs", "by": None, "baseline": None}
    return compare(runs, **how, ignore=ignore)


@pytest.mark.parametrize("where", ["seed", "random_seed", "train.seed", "a.b.rng_seed"])
def test_the_one_seed_of_a_config_is_the_runs(where):
    assert theirs(1, 3, 0.1, where).seed == 3


def test_of_two_unlike_seeds_none_is_the_runs_unless_it_is_called_so():
    def seed_of(config):
        return run_data([Part(Path("w"), "w", config=config)], pytest.fail).seed

    assert seed_of({"data": {"seed": 1}, "model": {"seed": 2}}) is None
    assert seed_of({"data": {"seed": 1}, "model": {"seed": 1}}) == 1
    assert seed_of({"seed": 0, "model": {"seed": 2}}) == 0
    assert seed_of({"seed": None, "train": {"seed": 3}}) == 3
    assert seed_of({"model": {"seed": None}, "random_seed": "5"}) == 5


def test_what_every_run_has_for_itself_is_said_and_can_be_ignored():
    runs = [theirs(4 * s + i, s, lr) for s in (0, 1, 2) for i, lr in enumerate((0.1, 0.2))]
    alone = compared(runs)
    assert len(alone.groups) == 6
    (note,) = (note for note in alone.notes if note.startswith("every run is a group by itself"))
    assert "io.output_dir, started" in note
    assert "lr" not in note
    comparison = compared(runs, ["output_dir", "started"])
    assert [(g.name, g.n) for g in comparison.groups] == [("lr=0.1", 3), ("lr=0.2", 3)]
    assert comparison.paired[0].n == 3
    assert "ignored: io.output_dir, started" in comparison.notes
    assert not any(note.startswith("every run") for note in comparison.notes)
    assert comparison.differs == ["lr"]
    assert [g.n for g in compared(runs, ["io", "started"]).groups] == [3, 3]


def test_an_ignored_key_that_is_none_or_several():
    runs = [theirs(1, 0, 0.1), theirs(2, 1, 0.1)]
    with pytest.raises(UserError, match="--ignore output: no run has such a key"):
        compared(runs, ["output"])
    runs[0].config["log"] = {"output_dir": "x"}
    with pytest.raises(UserError, match=r"could be io\.output_dir, log\.output_dir; write out"):
        compared(runs, ["output_dir"])

"""`dry=true` prints the plan and runs nothing."""

import json
import re

import pytest

from cnnlab.ablation import estimate
from cnnlab.ablation.command import multirun
from cnnlab.ablation.costs import Costs
from cnnlab.ablation.dry import duration, size
from cnnlab.ablation.plan import plan
from cnnlab.complexity.count import Cost
from cnnlab.errors import UserError

QUICK = ["dry=true", "data.fraction=0.2", "trainer.threads=1"]


def test_it_prints_arms_costs_runs_time_and_disk(write, tmp_path, capsys):
    assert multirun([*write(), *QUICK, "arms=one,two"]) == 0
    said = capsys.readouterr().out
    assert "mine: More groups are better." in said
    assert "asks     of test/top1: four against one" in said
    assert "held     params of arm one by model.width_per_group, within 10.0%" in said
    (one,) = re.findall(r"^one +model\.groups=1 +8 +([\d.]+) .* held$", said, re.M)
    # Two groups of 5 channels: solved, and the words do not say it twice.
    (two,) = re.findall(r"^two +model\.groups=2 +5 +([\d.]+) .* -7\.9%$", said, re.M)
    assert "runs     4: 2 arms, 2 seeds (1, 2)" in said
    assert f"folder   {tmp_path}/runs/mine" in said
    # 216 images of 64: 3 steps an epoch; val and test have 359 images, 2 batches of 256 each.
    assert len(re.findall(r"^probe .* 6 steps of .*, 6 batches of evaluation", said, re.M)) == 2
    assert re.search(r"^time     about \d+ s$", said, re.M)
    # Two files of weights, two checkpoints of weights and momentum; 4 bytes; 2 seeds.
    expected = (float(one) + float(two)) * 6 * 4 * 2
    assert f"disk     about {expected:.1f} MB (keep=all)" in said
    assert not (tmp_path / "runs").exists()


def test_without_the_data_the_rest_is_printed(write, capsys, tmp_path):
    arms = {"one": [], "two": ["model.groups=2"], "four": ["callbacks=[default,ema]"]}
    mine = write(hold=None, arms=arms)
    words = [*mine, "dry=true", "data=cifar10", f"data.root={tmp_path}", "keep=none"]
    assert multirun(words) == 0
    said = capsys.readouterr().out
    assert re.search(r"^four +callbacks=\[default,ema\] +\d", said, re.M)  # brackets: no markup
    assert re.search(r"^time     not known: .*point data\.root at", said, re.M)
    assert "runs     6: 3 arms" in said
    assert "disk     about 0.0 MB (keep=none)" in said


def test_several_at_once_share_the_time(write, capsys, monkeypatch):
    found = estimate.Probe(1.0, 1.0, 1, 1, seconds=100.0)
    monkeypatch.setattr(estimate, "probe", lambda composed, jobs: found)
    multirun([*write(hold=None), "dry=true", "jobs=4"])
    assert "time     about 2 min, 4 at once" in capsys.readouterr().out


def test_only_what_is_to_do_is_counted(write, capsys, monkeypatch):
    found = estimate.Probe(1.0, 1.0, 1, 1, seconds=100.0)
    monkeypatch.setattr(estimate, "probe", lambda composed, jobs: found)
    million = Cost(10**6, 1, 1, 1, (1, 32, 32), [])  # weights: 24 MB a run with momentum
    monkeypatch.setattr(Costs, "of", lambda self, cfg: million)
    words = [*write(hold=None), "dry=true", "arms=one,two"]
    jobs = {job.name: job for job in plan(words).plan.jobs}
    done = {"status": "finished", "identity": jobs["one-s1"].identity}
    for name, record in (("one-s1", done), ("two-s1", done | {"identity": "another"})):
        jobs[name].folder.mkdir(parents=True)
        (jobs[name].folder / "run.json").write_text(json.dumps(record))
    for stale, runs, time, disk in (
        ("null", "1 finished, 2 to do, 1 stale: stale=keep|rerun", "3 min", "48.0 MB"),
        ("keep", "2 finished, 2 to do", "3 min", "48.0 MB"),
        ("rerun", "1 finished, 3 to do", "5 min", "72.0 MB"),
    ):
        assert multirun([*words, f"stale={stale}"]) == 0
        said = capsys.readouterr().out
        assert f"\nruns     4: 2 arms, 2 seeds (1, 2); {runs}\n" in said
        assert f"\ntime     about {time}\n" in said
        assert f"\ndisk     about {disk} (keep=all)\n" in said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(4, "4 s"), (99, "99 s"), (600, "10 min"), (6 * 3600, "6.0 h"), (4 * 86400, "4.0 days")],
)
def test_durations(seconds, said):
    assert duration(seconds) == said


def test_sizes():
    assert (size(1.25e6), size(3.4e10)) == ("1.2 MB", "34.0 GB")


def test_a_plan_with_a_mistake_prints_nothing(write, capsys):
    with pytest.raises(UserError, match=r"optimizer\.lr=-1"):
        multirun([*write(), "dry=true", "optimizer.lr=-1"])
    assert capsys.readouterr().out == ""

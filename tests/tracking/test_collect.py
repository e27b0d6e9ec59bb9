import getpass
import json
import re
import socket
from pathlib import Path

import pytest

from cnnlab.ablation.job import Job, Plan
from cnnlab.ablation.launch import launch
from cnnlab.errors import UserError
from cnnlab.tracking.collect import collect
from cnnlab.tracking.compare import compare
from cnnlab.tracking.find import find
from cnnlab.tracking.identity import identity
from cnnlab.tracking.record import RunRecord
from tests.tracking.test_find import session

CHOICES = {"model": "tiny", "data": "toy", "head": None}


def refuse(text: str) -> None:
    raise AssertionError(f"nothing was to be said, but: {text}")


@pytest.fixture
def personal(monkeypatch, tmp_path, config) -> Path:
    """`runs/study/{a,b}-s3` of carol on lab-node-7, who puts her name wherever she can."""
    monkeypatch.setattr(socket, "gethostname", lambda: "lab-node-7.example.org")
    monkeypatch.setattr(getpass, "getuser", lambda: "carol")
    home = tmp_path / "home" / "carol" / "work"
    home.mkdir(parents=True)
    monkeypatch.chdir(home)
    monkeypatch.setattr("sys.argv", [str(home / "train.py"), "name=carol-test"])
    study = home / "runs" / "study"
    for arm in ("a", "b"):
        settings = config | {
            "runs": str(home / "runs"),
            "name": "carol-test",
            "tags": {"who": "carol", "boss": "CAROL", "where": "lab-node-7"},
            "slurm": {"account": "carol", "partition": "lab"},
            "logger": {"wandb": {"entity": "carol"}, "mlflow": {"uri": f"file://{home}/mlruns"}},
            "data": {"root": "/home/carol/sets/cifar", "list": "/shared/lists/a.txt"},
            "model": {"name": arm, "weights": str(home / "pretrained" / "x.pt")},
        }
        words = ["name=carol-test", "+logger.wandb.entity=carol", "data.root=/home/carol/sets"]
        with RunRecord.open(settings, CHOICES, words) as record:
            record.log_metrics({"train/loss": 0.5}, step=1)
            record.log_metrics({"test/top1": 0.25, "odd, key": 1.0}, step=2)
            record.started_from(f"{home}/pretrained/x.pt by carol: all loaded")
        study.mkdir(exist_ok=True)
        record.folder.rename(study / f"{arm}-s3")
        file = study / f"{arm}-s3" / "run.json"
        stored = json.loads(file.read_text())
        stored["job"] = {"name": "carol-study", "arm": arm, "identity": arm}
        stored["git"] = {"commit": "c" * 40, "dirty": False, "remote": "git@x:carol/y.git"}
        stored["environment"]["platform"] = "Linux-6.1.0-lab-node-7-x86_64-with-glibc2.36"
        file.write_text(json.dumps(stored))
        (study / f"{arm}-s3" / "results.json").write_text('{"a": "carol"}')
    assert finish(study) == 0
    return study


def finish(folder: Path) -> int:
    """The multirun, all of whose jobs are done: the launcher but writes its files."""
    words = [
        *("logger.wandb.entity=carol", "+tags.who=carol", "name=carol-test", "seed=3"),
        *("data.root=/home/carol/sets", "model.weights=/home/Carol Smith/x.pt"),
    ]
    jobs = [Job(a, 3, [f"model={a}", *words], folder / f"{a}-s3", a, None) for a in ("a", "b")]
    ablation = {"name": "study", "arms": {"a": [], "b": []}}
    plan = Plan("carol-study", folder, ablation, jobs, None)
    return launch(plan, jobs=1, stale="keep", keep="all")


def test_nothing_personal_is_left(personal, tmp_path):
    written = collect(find([personal], refuse), tmp_path / "shared", refuse)
    assert written == [tmp_path / "shared" / "a-s3", tmp_path / "shared" / "b-s3"]
    files = sorted(p.relative_to(tmp_path / "shared") for p in (tmp_path / "shared").rglob("*.*"))
    assert [str(f) for f in files] == [
        *("a-s3/metrics.csv", "a-s3/run.json", "ablation.json"),
        *("b-s3/metrics.csv", "b-s3/run.json", "plan.json"),
    ]
    for file in files:
        text = (tmp_path / "shared" / file).read_text()
        personal_words = r"(?i)carol|smith|lab-node|example\.org|home|mlruns|/shared/|account"
        assert not re.search(personal_words, text), file
        assert str(tmp_path) not in text
        assert not re.search(r'"/', text)


def test_what_counts_is_left(personal, tmp_path):
    before = find([personal], refuse)
    collect(before, tmp_path / "shared", refuse)
    after = find([tmp_path / "shared"], refuse)
    for old, new in zip(before, after, strict=True):
        assert new.history == old.history
        for name in ("identity", "seed", "metrics", "cost", "time", "data", "choices"):
            assert getattr(new, name) == getattr(old, name)
        assert new.job == old.job | {"name": "<user>-study"}
        assert new.git == {"commit": "c" * 40, "dirty": False}
        assert new.environment["platform"] == "Linux-x86_64-with-glibc2.36"
        assert new.status == "finished"
        assert new.config["model"] == {"name": old.job["arm"], "weights": "pretrained/x.pt"}
        assert new.config["data"]["list"].startswith("$PATH-")
        assert new.config["optimizer"] == {"lr": 0.1}
        assert new.name.endswith("<user>-test")
    # The same path has the same label in all records, another path another one.
    lists = {run.config["data"]["list"] for run in after}
    assert len(lists) == 1
    assert lists.isdisjoint({run.config["data"]["root"] for run in after})
    ablation = json.loads((tmp_path / "shared" / "ablation.json").read_text())
    assert ablation == json.loads((personal / "ablation.json").read_text())
    before, after = (
        json.loads((f / "plan.json").read_text()) for f in (personal, tmp_path / "shared")
    )
    assert "machine" not in after
    assert after["name"] == "<user>-study"
    for old_job, new_job in zip(before["jobs"], after["jobs"], strict=True):
        keys = old_job.keys() - {"words"}
        assert {key: new_job[key] for key in keys} == {key: old_job[key] for key in keys}
        arm = new_job["arm"]
        assert [w.partition("$")[0] for w in new_job["words"]] == [
            *(f"model={arm}", "+tags.who=<user>", "name=<user>-test", "seed=3"),
            *("data.root=", "model.weights="),
        ]


def test_a_collected_multirun_is_done(personal, tmp_path, capsys):
    collect(find([personal], refuse), tmp_path / "shared", refuse)
    capsys.readouterr()
    assert finish(tmp_path / "shared") == 0
    assert "skip      2 that finished before: a-s3, b-s3" in capsys.readouterr().out


def test_a_name_in_a_plan_stays_where_it_may_change_a_result_and_is_said(personal, tmp_path):
    file = personal / "plan.json"
    file.write_text(file.read_text().replace('"model=a"', '"model=a", "model.repo=carol/cats"'))
    said: list[str] = []
    collect(find([personal], refuse), tmp_path / "shared", said.append)
    assert said == [
        f"{tmp_path}/shared/plan.json: jobs.words holds 'carol', "
        "which may be a person's or machine's"
    ]


def test_a_person_of_two_words(made_run, write_run, tmp_path, monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "box")
    monkeypatch.setattr(getpass, "getuser", lambda: "csmith")
    machine = {"host": "box", "user": "csmith", "folder": "/home/Carol Smith/lab"}
    run = made_run(machine=machine, name="smith-1")
    run.config["data"]["root"] = "/home/Carol Smith/sets"
    run.overrides.append("data.root=/home/Carol Smith/sets")
    run.weights = "/home/Carol Smith/lab/pre trained/x.pt"
    said: list[str] = []
    (target,) = collect(find([write_run(run)], refuse), tmp_path / "shared", said.append)
    text = (target / "run.json").read_text()
    assert not re.search("(?i)carol|smith", text)
    assert said == []
    stored = json.loads(text)
    assert stored["weights"] == "pre trained/x.pt"
    assert stored["name"] == "<user>-1"


def test_later_runs_of_an_arm_go_on_with_its_collected_ones(made_run, write_run, tmp_path):
    """Paths inside the identity: elsewhere, below the working folder, in a URL."""
    weights = {"model.weights": "/w/x.pt", "model.list": "/lab/l.txt", "model.url": "file:///u/x"}
    machine = {"host": "box", "user": "dave", "folder": "/lab"}

    def made(seed, keys, study):
        return made_run(keys, seed=seed, machine=machine, study=study, arm="a", overrides=[])

    early = [write_run(made(seed, weights, "early")) for seed in (0, 1)]
    collect(find(early, refuse), tmp_path / "shared", refuse)
    later = write_run(made(2, weights, "late"))
    other = write_run(made(3, weights | {"model.weights": "/w/y.pt"}, "late"))
    how = {"metric": None, "cost": "gmacs", "by": None, "baseline": None}
    comparison = compare(find([tmp_path / "shared", later], refuse), **how)
    assert [(g.name, g.n) for g in comparison.groups] == [("a", 3)]
    assert not any("several configs" in line for line in comparison.warnings)
    comparison = compare(find([tmp_path / "shared", later, other], refuse), **how)
    assert sorted(g.n for g in comparison.groups) == [1, 3]
    # Without collected runs paths are shown as they are.
    comparison = compare(find([later, other], refuse), **how)
    assert comparison.groups[1].settings == {"model.weights": "/w/y.pt"}


def test_a_person_whom_no_path_names(made_run, write_run, tmp_path, monkeypatch):
    """Dave worked in /scratch/dave; carol collects."""
    monkeypatch.setattr(getpass, "getuser", lambda: "carol")
    machine = {"host": "box", "user": "dave", "folder": "/scratch/dave"}
    runs = [made_run(machine=machine, name="dave-x", study="dave-test", arm="a")]
    runs.append(made_run(machine=machine, study="other", arm="dave-arm", identity="i"))
    folders = [write_run(run) for run in runs]
    tuned = {"arms": {}, "by": "/scratch/dave/x"}
    (folders[0].parent / "tuned.json").write_text(json.dumps(tuned))
    said: list[str] = []
    written = collect(find(folders, refuse), tmp_path / "shared", said.append)
    names = [str(folder.relative_to(tmp_path / "shared")) for folder in written]
    assert names == ["user-test/a-s0", "other/dave-arm-s0"]
    assert json.loads((written[0] / "run.json").read_text())["name"] == "<user>-x"
    assert "dave" not in (written[0].parent / "tuned.json").read_text()
    assert [line.partition(": ")[2][:30] for line in said] == [
        "job.arm holds 'dave', which ma",
        "the folder's name holds 'dave'",
    ]
    del machine["user"]  # as an older cnnlab wrote it
    (folder,) = [write_run(made_run(machine=machine, name="dave-x", study="third"))]
    said.clear()
    collect(find([folder], refuse), tmp_path / "more", said.append)
    assert said == [
        "dave-x: the record does not say who made it; a name that no path under /home tells is "
        "not found"
    ]


def test_a_record_is_the_same_run_as_its_original(personal, tmp_path):
    """Given both, they count once; collected again, nothing changes."""
    collect(find([personal], refuse), tmp_path / "shared", refuse)
    before = {p: p.read_bytes() for p in (tmp_path / "shared").rglob("*.*")}
    collect(find([personal], refuse), tmp_path / "shared", refuse)
    collect(find([tmp_path / "shared"], refuse), tmp_path / "twice" / "shared", refuse)
    assert {p: p.read_bytes() for p in before} == before
    for path, data in before.items():
        assert (tmp_path / "twice" / path.relative_to(tmp_path)).read_bytes() == data
    said: list[str] = []
    for paths in ([personal, tmp_path / "shared"], [tmp_path / "shared", personal]):
        assert all(run.machine for run in find(paths, said.append))  # the originals
    assert said == ["2 runs are copies of others and do not count again"] * 2


def test_a_name_in_what_may_change_a_result_stays_and_is_said(personal, tmp_path):
    file = personal / "a-s3" / "run.json"
    stored = json.loads(file.read_text())
    stored["config"]["data"]["repo"] = "hub:carol/cats"
    file.write_text(json.dumps(stored))
    said: list[str] = []
    collect(find([personal], refuse), tmp_path / "shared", said.append)
    target = tmp_path / "shared" / "a-s3"
    assert said == [
        f"{target}/run.json: config.data.repo holds 'carol', which may be a person's or machine's"
    ]


def test_only_finished_runs(personal, tmp_path):
    file = personal / "a-s3" / "run.json"
    file.write_text(file.read_text().replace('"finished"', '"failed"'))
    said: list[str] = []
    (target,) = collect(find([personal], refuse), tmp_path / "shared", said.append)
    assert target.name == "b-s3"
    assert said == ["1 runs are not finished and are not collected"]


def test_folders_of_several_names(open_record, personal, tmp_path):
    with open_record() as record:
        record.log_metrics({"a": 1.0}, step=1)
    written = collect(find([personal, record.folder], refuse), tmp_path / "shared", refuse)
    assert [str(p.relative_to(tmp_path / "shared")) for p in written] == [
        *("study/a-s3", "study/b-s3", "toy-tiny/001-s3"),
    ]
    assert (tmp_path / "shared" / "study" / "ablation.json").is_file()


def test_nothing_is_overwritten(open_record, personal, tmp_path):
    runs = find([personal], refuse)
    with pytest.raises(UserError, match="study: holds the runs themselves; collect them elsewhere"):
        collect(runs, personal, refuse)
    with open_record(optimizer={"lr": 0.2}) as record:
        record.log_metrics({"a": 1.0}, step=1)
    record.folder.rename(tmp_path / "a-s3")
    with pytest.raises(UserError, match="a-s3: another run is there"):
        collect(runs, tmp_path, refuse)
    twin = tmp_path / "elsewhere" / "study"
    twin.mkdir(parents=True)
    (tmp_path / "a-s3").rename(twin / "a-s3")
    with pytest.raises(UserError, match=r"a-s3 and .*a-s3 would both be collected as"):
        collect(runs + find([twin], refuse), tmp_path / "shared", refuse)
    assert not (tmp_path / "shared").exists()


def test_a_run_that_only_wandb_knows(tmp_path):
    folder = session(tmp_path, "r1", 0, [1.0, 0.5], {"seed": 2, "file": "/somewhere/else"})
    (run,) = find([folder], refuse)
    run.status = "finished"
    (target,) = collect([run], tmp_path / "shared", refuse)
    assert target == tmp_path / "shared" / "r1"
    (again,) = find([target], refuse)
    assert (again.history, again.metrics) == (run.history, run.metrics)
    assert (again.seed, again.identity, again.wandb_id) == (2, "", "r1")
    assert again.config["file"].startswith("$PATH-")
    said: list[str] = []
    assert len(find([folder, target], said.append)) == 1
    assert said == ["1 runs at W&B repeat run folders and do not count again"]


def test_the_identity_can_still_be_told_from_anothers(personal, tmp_path, config):
    """What a multirun asks of a run that is there: the identity of the config it composed."""
    collect(find([personal], refuse), tmp_path / "shared", refuse)
    first, second = find([tmp_path / "shared"], refuse)
    assert first.identity != second.identity != identity(config)

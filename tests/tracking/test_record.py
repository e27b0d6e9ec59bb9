import json
import math
import os
import socket
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from cnnlab.errors import UserError
from cnnlab.tracking.fields import JOB
from cnnlab.tracking.folder import JOB_FOLDER, SHARED, half_done
from cnnlab.tracking.mirror import Mirror
from cnnlab.tracking.reading import read_run


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Linear(2, 2)


def stored(folder: Path) -> dict:
    return json.loads((folder / "run.json").read_text(), parse_constant=pytest.fail)


def test_a_finished_run_reads_back(open_record, config):
    words = ("optimizer.lr=0.1", "runs=" + config["runs"])
    with open_record(words, name="why", tags={"a": 1}) as record:
        assert record.folder == Path(config["runs"]) / "toy-tiny" / "001-s3"
        assert stored(record.folder)["status"] == "running"
        assert os.environ[SHARED] == str(record.folder)
        record.describe({"sizes": {"train": 5}}, {"cost/params_m": 0.1, "cost/latency_ms": None})
        record.log_metrics({"train/loss": 2.0, "epoch": 0}, step=4)
        record.log_metrics({"val/loss": torch.tensor(1.5), "val/top1": math.nan, "epoch": 1}, 8)
        record.best("val/loss", "min", 1.5, epoch=1, step=8)
        assert stored(record.folder)["best"]["value"] == 1.5
        record.log_metrics({"test/top1": 0.5})
        record.keep(Net(), {"test/per_class": [0.5, math.nan]}, "best")
    assert SHARED not in os.environ
    run = read_run(record.folder)
    assert (run.status, run.reason, run.seed, run.tested) == ("finished", None, 3, "best")
    assert run.name == "tiny-toy-001-s3-why"
    assert run.overrides == list(words)
    assert run.config == config | {"name": "why", "tags": {"a": 1}}
    assert run.data == {"sizes": {"train": 5}}
    assert run.cost == {"cost/params_m": 0.1, "cost/latency_ms": None}
    assert run.metrics == {"train/loss": 2.0, "val/loss": 1.5, "val/top1": None, "test/top1": 0.5}
    assert run.best == {"key": "val/loss", "mode": "min", "value": 1.5, "epoch": 1, "step": 8}
    assert run.results == {"test/per_class": [0.5, None]}
    assert run.history["val/loss"].values == [1.5]
    assert (run.history["test/top1"].steps, run.history["test/top1"].epochs) == ([8], [1])
    assert run.history["cost/params_m"].steps == [0]
    assert run.time["total_s"] >= run.history["test/top1"].times_s[0] > 0
    assert {p.name for p in record.folder.iterdir()} == {
        "run.json",
        "results.json",
        "metrics.csv",
        "weights.safetensors",
        "backbone.safetensors",
    }


def test_host_and_absolute_paths_stand_under_one_key(open_record, tmp_path, config):
    with open_record((f"runs={tmp_path}/runs",)) as record:
        pass
    rest = stored(record.folder)
    assert rest.pop("machine")["host"] == socket.gethostname()
    assert str(tmp_path) not in json.dumps(rest)
    assert read_run(record.folder).config["runs"] == config["runs"]


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (RuntimeError("bad\nlong story"), "failed", "RuntimeError: bad"),
        (UserError("data.root: x"), "failed", "UserError: data.root: x"),
        (KeyboardInterrupt(), "stopped", "KeyboardInterrupt: "),
        (SystemExit(143), "stopped", "SystemExit: 143"),
    ],
)
def test_how_a_run_ended_is_recorded_and_raised_again(open_record, error, status, reason):
    with pytest.raises(type(error)), open_record() as record:  # noqa: PT012  (what is raised within is the question)
        record.log_metrics({"train/loss": 1.0}, 1)
        raise error
    run = read_run(record.folder)
    assert (run.status, run.reason) == (status, reason)
    assert run.metrics == {"train/loss": 1.0}


def test_no_secret_reaches_a_file(open_record, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "a1" * 20)
    monkeypatch.setenv("SOME_PASSWORD", "correct horse")
    monkeypatch.setattr("sys.argv", ["train.py", "a.key=battery staple", "x=tiger-4711"])
    nodes = {"hub": {"token": "tiger-4711"}, "note": "it is correct horse, key " + "a1" * 20}
    with (  # noqa: PT012  (what is raised within is the question)
        pytest.raises(ValueError, match="tiger"),
        open_record(("a.key='battery staple'", "hub.token=tiger-4711"), **nodes) as record,
    ):
        record.describe({"error": "at https://joe:hunter2@x.y and tiger-4711"}, {})
        raise ValueError("cannot open tiger-4711 with hub.token=short")
    text = "".join(p.read_text() for p in record.folder.rglob("*") if p.is_file())
    for secret in ("a1" * 20, "correct horse", "battery staple", "tiger", "hunter2", "short"):
        assert secret not in text


def test_the_run_that_weights_came_from_is_the_parent(open_record):
    with open_record() as first:
        first.keep(Net(), {}, "last")
    for weights in (first.folder, first.folder / "backbone.safetensors"):
        with open_record(model={"name": "tiny", "weights": str(weights)}) as second:
            pass
        parent = read_run(second.folder).parent
        assert parent["name"] == "tiny-toy-001-s3"
        assert parent["identity"] == read_run(first.folder).identity
    with open_record(model={"name": "tiny", "weights": "timm"}) as third:
        pass
    assert read_run(third.folder).parent is None


def stop_after_a_checkpoint(open_record) -> Path:
    with pytest.raises(KeyboardInterrupt), open_record(("seed=3",)) as record:  # noqa: PT012  (what is raised within is the question)
        record.log_metrics({"train/loss": 2.0, "epoch": 0}, 4)
        record.log_metrics({"train/loss": 1.0, "epoch": 1}, 6)
        time.sleep(0.05)
        (record.folder / "checkpoints").mkdir()
        (record.folder / "checkpoints" / "last.ckpt").touch()
        raise KeyboardInterrupt
    return record.folder


def test_a_stopped_run_is_continued_in_its_folder(open_record):
    folder = stop_after_a_checkpoint(open_record)
    before = read_run(folder)
    with (folder / "metrics.csv").open("a") as file:
        file.write("7,1,99.0,train/lo")
    with open_record(("seed=3", f"resume={folder}"), resume=str(folder)) as record:
        assert record.resumed
        assert record.last_checkpoint == str(folder / "checkpoints" / "last.ckpt")
        record.went_back_to(4)
        record.log_metrics({"train/loss": 0.5, "epoch": 1}, 6)
    run = read_run(folder)
    assert run.status == "finished"
    assert run.overrides == ["seed=3"]
    assert run.history["train/loss"].values == [2.0, 0.5]
    times = run.history["train/loss"].times_s
    assert before.history["train/loss"].times_s[0] == times[0] <= times[1] < 0.05
    assert len(run.time["sessions"]) == 2
    assert run.time["started"] == before.time["started"]


def test_what_cannot_be_continued_says_why(open_record, tmp_path):
    folder = stop_after_a_checkpoint(open_record)
    with pytest.raises(UserError, match=r"optimizer.lr=0.2 \(was 0.1\)"):
        open_record(resume=str(folder), optimizer={"lr": 0.2})
    with open_record(resume=str(folder)):
        pass
    with pytest.raises(UserError, match="already finished"):
        open_record(resume=str(folder))
    with pytest.raises(UserError, match="not a run folder"):
        open_record(resume=str(tmp_path))
    with pytest.raises(RuntimeError), open_record() as record:
        raise RuntimeError
    with pytest.raises(UserError, match=r"no checkpoints/last.ckpt"):
        open_record(resume=str(record.folder))


def test_other_processes_write_nothing(open_record, monkeypatch, tmp_path):
    with open_record() as first:
        monkeypatch.setenv("LOCAL_RANK", "1")
        with open_record() as other:
            assert other.folder == first.folder
            other.attach([Told()])
            other.log_metrics({"a": 1.0}, 1)
            other.describe({}, {})
            other.best("a", "min", 1.0, 0, 1)
            other.went_back_to(0)
            other.keep(Net(), {}, "best")
        assert sorted(p.name for p in first.folder.iterdir()) == ["metrics.csv", "run.json"]
        assert "a" not in (first.folder / "metrics.csv").read_text().split("\n", 1)[1]
    assert [p.name for p in (tmp_path / "runs" / "toy-tiny").iterdir()] == ["001-s3"]


class Told(Mirror):
    name = version = "told"

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple] = []

    def bind(self, record) -> None:
        self.calls.append(("bind", record.name, record.config["optimizer"]))

    def log_metrics(self, metrics, step=None) -> None:
        self.calls.append(("log", metrics, step))

    def close(self, status) -> None:
        self.calls.append(("close", status))


def test_mirrors_are_told_of_start_cost_and_end(open_record):
    mirror = Told()
    with pytest.raises(ZeroDivisionError), open_record() as record:  # noqa: PT012  (what is raised within is the question)
        record.attach([mirror])
        record.describe({}, {"cost/gmacs": 0.04, "cost/latency_ms": None})
        _ = 1 / 0
    assert mirror.calls == [
        ("bind", "tiny-toy-001-s3", {"lr": 0.1}),
        ("log", {"cost/gmacs": 0.04}, 0),
        ("close", "failed"),
    ]


def test_any_timm_net_gives_its_own_name(config):
    from cnnlab.tracking.record import RunRecord

    choices = {"model": "timm", "data": "toy"}
    net = {"name": "hf_hub:lab/net-1", "weights": None}
    with RunRecord.open(config | {"model": net}, choices, []) as record:
        assert record.folder.parent.name == "toy-hf_hub_lab_net-1"


# A job of a multirun ----------------------------------------------------------------------------


@pytest.fixture
def job(tmp_path, monkeypatch) -> Path:
    """The folder that this process was given."""
    folder = tmp_path / "runs" / "groups" / "g4-s3"
    monkeypatch.setenv(JOB_FOLDER, str(folder))
    monkeypatch.setenv(JOB, json.dumps({"name": "groups", "arm": "g4", "identity": "1f"}))
    return folder


def test_a_job_runs_in_the_folder_it_was_given(open_record, job):
    with open_record() as record:
        assert record.folder == job
        assert record.group == "groups"
    run = read_run(job)
    assert run.job == {"name": "groups", "arm": "g4", "identity": "1f"}
    assert run.name == "tiny-toy-g4-s3"
    with pytest.raises(UserError, match="finished"):
        open_record()


def test_a_run_of_its_own_is_no_job(open_record):
    with open_record() as record:
        pass
    assert read_run(record.folder).job is None


def test_a_job_that_failed_early_starts_over(open_record, job):
    with pytest.raises(RuntimeError), open_record() as record:  # noqa: PT012  (what is raised within is the question)
        record.log_metrics({"train/loss": 2.0}, 1)
        (job / "log.txt").write_text("the launcher's own")
        raise RuntimeError("early")
    with open_record() as record:
        record.log_metrics({"train/loss": 3.0}, 2)
    run = read_run(job)
    assert (run.status, run.history["train/loss"].values) == ("finished", [3.0])
    assert (job / "log.txt").is_file()


def test_a_half_done_job_is_not_begun_anew(open_record, job):
    folder = stop_after_a_checkpoint(open_record)
    assert folder == job
    assert half_done(job)
    with pytest.raises(UserError, match="repeat the command"):
        open_record()
    with open_record(resume=str(job)) as record:
        assert record.resumed
    with pytest.raises(UserError, match="finished"):
        half_done(job)


def test_one_process_has_a_jobs_folder(open_record, job, monkeypatch):
    monkeypatch.setattr("cnnlab.tracking.folder.lock.__defaults__", (0.1,))
    with open_record(), pytest.raises(UserError, match="another process is working"):
        open_record()

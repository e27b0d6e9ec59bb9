"""The same through submitit, with its executor for this machine; no SLURM is at hand in tests."""

import importlib.util
import json
import os
import pickle
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from submitit.core.utils import DelayedSubmission

from cnnlab.ablation.attempt import Order
from cnnlab.ablation.code_version import Code
from cnnlab.ablation.display import Lines
from cnnlab.ablation.job import Job, Plan
from cnnlab.ablation.job_state import read_state
from cnnlab.ablation.launch import launch
from cnnlab.ablation.local_pool import AT_ONCE
from cnnlab.ablation.multirun import Multirun
from cnnlab.ablation.slurm_pool import NodeAttempt, SlurmPool
from cnnlab.ablation.stops import Stops
from cnnlab.errors import UserError
from tests.ablation.studies import FAKE

LOCAL = {"cluster": "local", "time": 5}


def a_plan(folder: Path, *more: str) -> Plan:
    jobs = []
    for seed in (1, 2):
        trace = folder.parent / "trace"
        words = [f"seed={seed}", f"value=0.{seed}", "epochs=2", f"trace={trace}", *more]
        jobs.append(Job("a", seed, words, folder / f"a-s{seed}", f"of {seed}", None))
    return Plan("study", folder, None, jobs, "test/top1")


def test_an_array_is_run_and_its_repeat_skips(tmp_path, capsys):
    plan = a_plan(tmp_path / "study")
    how = {"jobs": 1, "stale": None, "keep": "weights", "slurm": LOCAL, "command": FAKE}
    assert launch(plan, **how) == 0
    row = capsys.readouterr().out.split("params/M")[1].splitlines()[1].split()
    assert row[:4] == ["a", "2", "0.1500", "0.0707"]
    assert not (tmp_path / "study" / "a-s1" / "checkpoints").exists()
    assert launch(plan, **how) == 0
    assert (tmp_path / "trace").read_text().count("started") == 2


def test_before_its_time_is_up_a_job_stops_and_is_submitted_again(tmp_path, monkeypatch):
    plan = a_plan(tmp_path / "study", "gate=/never")
    (tmp_path / "study").mkdir()
    job = plan.jobs[0]
    attempt = NodeAttempt(Order("study", job, FAKE, {}, None, None, "all", 0.0))
    again = []

    def out_of_time(*_: object) -> None:  # as submitit's handler does
        again.append(attempt.checkpoint())
        raise SystemExit(-1)

    def look(*_: object) -> None:
        if "epoch 0" in (tmp_path / "trace").read_text():
            signal.setitimer(signal.ITIMER_REAL, 0)
            out_of_time()

    (tmp_path / "trace").touch()
    before = signal.signal(signal.SIGALRM, look)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
        with pytest.raises(SystemExit):
            attempt()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert read_state(job.folder).status == "stopped"
    assert read_state(job.folder).resumable
    job.words[-1] = "epochs=2"  # no gate
    assert again[0].function() == 0
    assert read_state(job.folder).status == "finished"
    assert (tmp_path / "trace").read_text().split("\n")[:4] == [
        *("a-s1 started", "a-s1 epoch 0", "a-s1 resumed", "a-s1 epoch 1")
    ]


class Queue:
    """Stands for the scheduler: the jobs' turn comes at once."""

    look_s, free = 0.0, 9

    def __init__(self) -> None:
        self._codes: list[tuple[Job, int]] = []

    @property
    def running(self) -> list[Job]:
        return [job for job, _ in self._codes]

    def start(self, orders: Sequence[Order]) -> None:
        self._codes = [(order.job, NodeAttempt(order)()) for order in orders]

    def ended(self) -> list[tuple[Job, int]]:
        over, self._codes = self._codes, []
        return over

    def stop(self) -> None: ...
    def kill(self) -> None: ...


@pytest.mark.parametrize("stale", [None, "keep"])
def test_a_job_that_finds_other_code_when_its_turn_comes(tmp_path, monkeypatch, capsys, stale):
    plan = a_plan(tmp_path / "study")
    commits = iter(["1111111aaa"])  # when they were submitted
    monkeypatch.setattr(
        "cnnlab.ablation.code_version.git", lambda: {"commit": next(commits, "2222222bbb")}
    )
    code = Code("1111111aaa", "")
    orders = {job.name: Order("study", job, FAKE, {}, code, stale, "all", 0.0) for job in plan.jobs}
    multirun = Multirun(plan, Queue(), orders, {}, Lines())
    multirun.run(Stops())
    changed = "code changed since the launch (commit 1111111 -> 2222222): 2 jobs not started"
    assert (changed in capsys.readouterr().out) is (stale is None)
    assert (tmp_path / "trace").exists() is (stale == "keep")


def sbatch(folder: Path, monkeypatch, does: str) -> None:
    """No SLURM is here: a stand-in."""
    for name in ("srun", "sbatch"):
        (folder / name).write_text(f"#!/bin/sh\n{does}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def submissions(folder: Path) -> list[DelayedSubmission]:
    """What SLURM's nodes would run."""
    return [DelayedSubmission.load(file) for file in folder.glob("*_submitted.pkl")]


@pytest.mark.parametrize(("exclusive", "alone"), [({"exclusive": True}, True), ({}, False)])
def test_what_slurm_is_asked_for(tmp_path, monkeypatch, exclusive, alone):
    sbatch(tmp_path, monkeypatch, "echo Submitted batch job 7")
    plan = a_plan(tmp_path / "study")
    pool = SlurmPool(plan, 2, {"time": 5, "partition": "gpu"} | exclusive)
    pool.start([Order("study", job, FAKE, {}, None, None, "all", 0.0) for job in plan.jobs])
    asked = (tmp_path / "study" / ".slurm" / "7_submission.sh").read_text()
    for line in ("--partition=gpu", "--time=5", "--array=0-1%2"):
        assert f"#SBATCH {line}\n" in asked
    assert ("#SBATCH --exclusive\n" in asked) is alone
    submitted = submissions(tmp_path / "study" / ".slurm")
    assert len(submitted) == 2
    for one in submitted:
        assert one._timeout_countdown == 100
        assert (one.function._order.variables[AT_ONCE] == "1") is alone


SECRETS = ("+tags.api_key=0123456789", "name=of-the-lab-1234", "tags={a_token: abcdefghij}")


def test_secrets_are_not_written_to_the_shared_disk(tmp_path, monkeypatch):
    sbatch(tmp_path, monkeypatch, f'env > "{tmp_path}/env"; echo Submitted batch job 7')
    monkeypatch.setenv("MY_TOKEN", "of-the-lab-1234")
    plan = a_plan(tmp_path / "study", *SECRETS)
    pool = SlurmPool(plan, 1, {"time": 5, "partition": "gpu"})
    pool.start([Order("study", job, FAKE, {}, None, None, "all", 0.0) for job in plan.jobs])
    files = [path for path in plan.folder.rglob("*") if path.is_file()]
    assert len([path for path in files if path.suffix == ".pkl"]) == 2
    for path in files:
        assert not re.search(b"0123456789|of-the-lab|abcdefghij", path.read_bytes()), path
    one, other = submissions(plan.folder / ".slurm")
    assert one.function() == 1  # where the site lets no environment through
    (failed,) = (s for job in plan.jobs if (s := read_state(job.folder)).status == "failed")
    assert "the environment of the command did not reach the node" in (failed.reason or "")
    (given,) = re.findall(r"^CNNLAB_SECRET_WORDS=(.*)$", (tmp_path / "env").read_text(), re.M)
    monkeypatch.setenv("CNNLAB_SECRET_WORDS", given)
    assert other.function() == 0
    (record,) = plan.folder.glob("*/run.json")
    job = next(job for job in plan.jobs if job.folder == record.parent)
    assert json.loads(record.read_text())["overrides"] == job.words
    assert b"0123456789" not in pickle.dumps(other.function.checkpoint())


def test_an_array_that_is_not_taken_is_one_line(tmp_path, monkeypatch):
    lines = ["sbatch: error: QOSMaxSubmitJobPerUserLimit", "sbatch: error: Batch job failed"]
    sbatch(tmp_path, monkeypatch, "\n".join([*(f"echo '{line}' >&2" for line in lines), "exit 1"]))
    slurm = {"time": 5, "partition": "gpu"}
    how = {"jobs": 1, "stale": None, "keep": "all", "slurm": slurm, "command": FAKE}
    with pytest.raises(UserError, match=r"^slurm: an array of 2 jobs was not taken: ") as error:
        launch(a_plan(tmp_path / "study"), **how)
    assert str(error.value).endswith(": " + "; ".join(lines))


def test_a_job_that_is_over_needs_no_cancelling(tmp_path, monkeypatch):
    sbatch(tmp_path, monkeypatch, "echo Submitted batch job 7")
    plan = a_plan(tmp_path / "study")
    pool = SlurmPool(plan, 1, {"time": 5, "partition": "gpu"})
    pool.start([Order("study", job, FAKE, {}, None, None, "all", 0.0) for job in plan.jobs])
    (tmp_path / "scancel").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "scancel").chmod(0o755)
    pool.stop()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"time": 5, "partion": "gpu"}, "slurm.partion: .* did you mean 'partition'"),
        ({"partition": "gpu"}, "slurm.time: missing"),
        ({"time": 5, "cluster": "pbs"}, "slurm.cluster=pbs: allowed: slurm, local"),
        ({"time": "soon", "cluster": "local"}, 'slurm: .*"timeout_min" expected'),
        ({"time": 5, "cluster": "slurm"}, "slurm: .*srun"),
    ],
)
def test_wrong_options_are_named(tmp_path, monkeypatch, options, named):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match=named) as error:
        SlurmPool(a_plan(tmp_path), 1, options)
    assert "\n" not in str(error.value)


def test_submitit_is_asked_for_in_one_line_and_only_when_needed(tmp_path, monkeypatch):
    assert importlib.util.find_spec("submitit")
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(UserError, match=r"pip install -e '\.\[slurm\]'"):
        SlurmPool(a_plan(tmp_path), 1, LOCAL)

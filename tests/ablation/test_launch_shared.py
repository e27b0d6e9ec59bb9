"""Several people, machines and file systems: who runs what, and whose runs count."""

import errno
import fcntl
import json
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace

import pytest

from cnnlab.ablation.attempt import Attempt, Order
from cnnlab.ablation.claim import disk_time
from cnnlab.ablation.code_version import Code
from cnnlab.ablation.display import Lines
from cnnlab.ablation.job import Job
from cnnlab.ablation.job_state import JobState, read_state
from cnnlab.ablation.local_pool import LocalPool
from cnnlab.ablation.multirun import OTHER_CODE, Multirun
from cnnlab.ablation.stops import Stops
from cnnlab.errors import UserError
from cnnlab.tracking.collect import collect
from cnnlab.tracking.find import find
from tests.ablation.studies import DONE_ONCE, FAKE, ROW_A, ROW_B, Study, table

time_now = time.time


def order_for(job: Job, began: float = 0.0, code: Code | None = None) -> Order:
    return Order("study", job, FAKE, {}, code, None, "all", began)


def test_two_launchers_share_the_work(study, capfd, wait_for):
    gate = study.folder.parent / "gate"
    study.words = ["epochs=2", f"gate={gate}", "epoch_s=0.05"]
    both = [study.spawn(), study.spawn()]
    wait_for(lambda: sum(study.trace().values()) >= 4)  # each has one under way
    gate.touch()
    said = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert study.trace() == DONE_ONCE
    assert [table(text) for text in said] == [[ROW_A, ROW_B]] * 2
    assert any("another process runs it" in text for text in said)


def test_what_another_launcher_failed_at_is_counted_not_repeated(study, wait_for):
    gate = study.folder.parent / "gate"
    gate.parent.mkdir()
    broken = study.folder.parent / "broken"
    broken.touch()
    study.words = ["epochs=2", f"gate={gate}", "crash=error", f"broken={broken}"]
    first = study.spawn(jobs=4)
    wait_for(lambda: sum(study.trace().values()) == 8)
    second = study.spawn(jobs=4)
    said = ""
    assert second.stdout is not None
    while said.count("another process runs it") < 4:
        line = second.stdout.readline()
        assert line, said
        said += line
    gate.touch()
    assert first.wait(60) == 1
    assert second.wait(60) == 1
    assert sum(study.trace().values()) == 8


def test_a_killed_job_leaves_its_claim_to_its_training(study, wait_for):
    """Whoever leads a job is killed, out of memory say, and its training lives on for a while."""
    gate = study.folder.parent / "gate"
    study.words = ["epochs=2", f"gate={gate}"]
    jobs = study.plan().jobs
    order = order_for(jobs[0])
    leader = subprocess.Popen(
        [sys.executable, "-m", "cnnlab.ablation.job_process"],
        stdin=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert leader.stdin is not None
    leader.stdin.write(order.to_json() + "\n")
    leader.stdin.flush()
    wait_for(lambda: study.trace() >= Counter(["a-s1 epoch 0"]))
    leader.kill()
    leader.wait()
    launcher = study.spawn(jobs=4)
    wait_for(lambda: study.trace()["b-s2 epoch 0"])
    gate.touch()
    said, _ = launcher.communicate(timeout=60)
    assert launcher.returncode == 0, said
    assert study.trace() == DONE_ONCE


@pytest.mark.parametrize("hour", [-3600.0, 3600.0])
def test_what_failed_since_the_command_began_is_not_tried_again(study, monkeypatch, hour):
    """Another launcher failed at it while this one was busy, and has gone on since."""
    broken = study.folder.parent / "broken"
    broken.parent.mkdir()
    broken.touch()
    study.words += ["crash=error", f"broken={broken}"]
    job = study.plan().jobs[0]
    before = disk_time(study.folder)
    # On a node whose clock is an hour behind or ahead; all that the hosts share is the disk.
    monkeypatch.setattr("cnnlab.ablation.attempt.time.time", lambda: time_now() + hour)
    assert Attempt(order_for(job, before)).run() != 0
    tried = study.trace()
    assert tried["a-s1 started"] == 1
    assert Attempt(order_for(job, before)).run() == 1
    assert study.trace() == tried
    # A command that was given later, by more than the grain of the disk's clock.
    time.sleep(0.05)
    Attempt(order_for(job, disk_time(study.folder))).run()
    assert study.trace()["a-s1 resumed"] == 1


def test_anothers_run_of_another_config_is_neither_counted_nor_touched(study, wait_for):
    """Both found the folder empty; only one of the two can have b-s2."""
    gate = study.folder.parent / "gate"
    study.words = ["epochs=2", f"gate={gate}"]
    launcher = study.spawn()
    wait_for(lambda: study.trace()["a-s1 epoch 0"])
    other = Study(study.folder)
    other.identities["b-s2"] = "another"
    other.of["b-s2"] = ["value=0.75"]
    (job,) = [job for job in other.plan().jobs if job.name == "b-s2"]
    assert Attempt(order_for(job)).run() == 0
    gate.touch()
    said, _ = launcher.communicate(timeout=60)
    assert launcher.returncode == 1, said
    rows = table(said)
    assert rows[0] == ROW_A
    assert rows[1][:4] == ["b", "1", "of", "2"]
    assert "failed    b-s2: another config was run here meanwhile" in said.split("arm ")[-1]
    assert read_state(study.folder / "b-s2").metrics == {"test/top1": 0.75}
    assert not (study.folder / ".stale").exists()
    assert study.trace()["b-s2 started"] == 1


def test_anothers_run_of_other_code_is_not_counted(study, monkeypatch, capsys):
    """Two launchers began at two commits, when nothing was there to be refused."""
    job = study.plan().jobs[0]
    code = Code("2222222bbb", "")
    monkeypatch.setenv("FAKE_COMMIT", "1111111aaa")
    orders = {job.name: order_for(job, code=code)}
    assert Attempt(order_for(job, code=Code("1111111aaa", ""))).run() == 0
    before = study.trace()
    assert Attempt(orders[job.name]).run() == 1
    assert study.trace() == before
    monkeypatch.setattr("cnnlab.ablation.code_version.git", lambda: {"commit": code.commit})
    plan = replace(study.plan(), jobs=[job])
    multirun = Multirun(plan, LocalPool(1), orders, {}, Lines())
    multirun.run(Stops())
    assert multirun.states[job.name] == JobState("failed", OTHER_CODE)
    assert study.trace() == before


def test_anothers_half_done_run_of_another_config_is_left_where_it_is(study):
    broken = study.folder.parent / "broken"
    broken.parent.mkdir()
    broken.touch()
    study.words += ["crash=kill", f"broken={broken}"]
    study.identities["a-s1"] = "another"
    Attempt(order_for(study.plan().jobs[0])).run()
    before = study.trace()
    del study.identities["a-s1"]
    assert Attempt(order_for(study.plan().jobs[0], time.time())).run() == 1
    assert study.trace() == before
    assert not (study.folder / ".stale").exists()


def test_a_file_system_without_locks_is_refused(study, monkeypatch):
    def none(handle, how):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", none)
    with pytest.raises(UserError, match="a file system without locks") as error:
        study.launch()
    assert "\n" not in str(error.value)
    assert not study.trace()


# Recorded elsewhere ------------------------------------------------------------------------------


def test_a_collected_record_counts(study, capsys):
    folder = study.folder / "a-s1"
    folder.mkdir(parents=True)
    (folder / "metrics.csv").write_text("step,epoch,time_s,key,value\n")
    collected = {
        "schema": 1,
        "status": "finished",
        "identity": "identity of a-s1",
        "metrics": {"test/top1": 0.5625},
        "cost": {"cost/params_m": 0.25, "cost/gmacs": None},
    }
    (folder / "run.json").write_text(json.dumps(collected))
    assert study.launch() == 0
    assert table(capsys.readouterr().out) == [ROW_A, ROW_B]
    assert not study.trace()["a-s1 started"]


def test_what_was_collected_is_not_run_again(study, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FAKE_COMMIT", "1111111aaa")
    monkeypatch.setenv("FAKE_DIFF", "")
    commit = {"commit": "1111111aaa"}
    monkeypatch.setattr("cnnlab.ablation.code_version.git", lambda: commit)
    study.launch()
    shared = Study(tmp_path / "shared" / "study")
    collect(find([study.folder]), shared.folder, warn=lambda text: None)
    capsys.readouterr()
    assert shared.launch() == 0
    assert table(capsys.readouterr().out) == [ROW_A, ROW_B]
    commit["commit"] = "2222222bbb"  # the code went on since they were made
    with pytest.raises(UserError, match="4 of another commit"):
        shared.launch()
    commit.update(commit="1111111aaa", diff="edited")
    with pytest.raises(UserError, match="4 of other uncommitted edits"):
        shared.launch()
    assert shared.launch(stale="keep") == 0
    assert shared.trace() == {}
    assert study.trace() == DONE_ONCE

"""Jobs in processes of their own: crashes, kills, repeats.

With a fake training that leaves a trace of every epoch it does.
"""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from omegaconf import OmegaConf

from cnnlab.ablation.claim import at_work, is_claimed
from cnnlab.ablation.job_state import TAIL, read_progress, read_state
from cnnlab.ablation.launch import launch
from cnnlab.ablation.plan_files import earlier_jobs, write_plan
from cnnlab.config import compose
from cnnlab.errors import UserError
from cnnlab.tracking.collect import collect
from cnnlab.tracking.find import find
from cnnlab.tracking.identity import identity
from tests.ablation.studies import DONE_ONCE, FAKE, ROW_A, ROW_B, table


def test_all_jobs_run_once_and_are_skipped_when_repeated(study, capsys):
    assert study.launch() == 0
    assert table(capsys.readouterr().out) == [ROW_A, ROW_B]
    assert study.trace() == DONE_ONCE
    assert study.launch() == 0
    said = capsys.readouterr().out
    assert "4 that finished before: a-s1, a-s2, b-s1, b-s2" in said
    assert table(said) == [ROW_A, ROW_B]
    assert study.trace() == DONE_ONCE


def test_what_runs_is_written_beside_the_runs(study):
    study.of["a-s1"] = ["logger.wandb.api_key=0123456789abcdef", "data.root=/home/someone/data"]
    study.launch()
    ablation = json.loads((study.folder / "ablation.json").read_text())
    assert ablation == {"claim": "a beats b", "seeds": [1, 2], "solved": {}}
    text = (study.folder / "plan.json").read_text()
    plan = json.loads(text)
    assert [job["folder"] for job in plan["jobs"]] == ["a-s1", "a-s2", "b-s1", "b-s2"]
    assert "0123456789abcdef" not in text
    machine = plan.pop("machine")
    assert "/home/someone/data" in machine["paths"].values()
    assert "/home" not in json.dumps(plan)


def test_later_commands_add_to_the_plan(study):
    """Other arms or seeds go on in the same folder; readers see all of it."""
    study.of["a-s1"] = ["data.root=/home/someone/data"]
    plan = study.plan()
    solved = {"key": "model.width", "value": 3, "deviation": 0.01}
    jobs = [replace(job, solved=solved if job.arm == "b" else None) for job in plan.jobs]
    for some in (jobs[:2], jobs[2:]):
        how = {"jobs": 2, "stale": None, "keep": "all", "command": FAKE}
        assert launch(replace(plan, jobs=some, hold={"cost": "params"}), **how) == 0
    found = earlier_jobs(study.folder)
    assert [job["folder"] for job in found] == ["a-s1", "a-s2", "b-s1", "b-s2"]
    assert [job["words"] for job in found] == [job.words for job in jobs]
    assert json.loads((study.folder / "plan.json").read_text())["hold"] == {"cost": "params"}
    ablation = json.loads((study.folder / "ablation.json").read_text())
    assert (ablation["seeds"], ablation["solved"]) == ([1, 2], {"b": solved})
    records = [study.folder / name / "run.json" for name in ("a-s1", "b-s1")]
    told = [json.loads(record.read_text())["job"] for record in records]
    assert ["solved" in job for job in told] == [False, True]
    assert told[1]["solved"] == solved


def test_later_commands_leave_what_other_arms_were_tuned_to(study):
    plan = study.plan()
    for arm, point in (("a", 1), ("b", 2), ("a", 3)):
        tuned = {"metric": "val/top1", "arms": {arm: {"point": point}}}
        ablation = {"claim": "x", "tuned": tuned}
        jobs = [job for job in plan.jobs if job.arm == arm]
        write_plan(replace(plan, jobs=jobs, ablation=ablation), None)
    told = json.loads((study.folder / "ablation.json").read_text())["tuned"]
    assert told == {"metric": "val/top1", "arms": {"a": {"point": 3}, "b": {"point": 2}}}
    # An arm that is run untuned now was not tuned; the other was.
    write_plan(replace(plan, jobs=plan.jobs[:2], ablation={"claim": "x"}), None)
    told = json.loads((study.folder / "ablation.json").read_text())["tuned"]
    assert told["arms"] == {"b": {"point": 2}}


def test_what_runs_were_judged_by_stays_when_it_is_changed(study, tmp_path, capsys):
    path = study.folder / "ablation.json"
    plan = study.plan()
    plan = replace(plan, jobs=plan.jobs[:1])
    how = {"jobs": 1, "stale": None, "keep": "all", "command": FAKE}
    signs = [[{"name": "a - b", "expect": sign}] for sign in ("positive", "negative")]
    claims = [
        {"claim": "a beats b", "metric": "test/top1", "baseline": "b", "contrasts": signs[0]},
        {"claim": "b beats a", "metric": "test/top1", "baseline": "b", "contrasts": signs[1]},
        {"claim": "b beats a", "metric": "test/top1", "baseline": "b", "contrasts": signs[1]},
        {"claim": "b beats a", "metric": "test/top5", "baseline": "a", "contrasts": signs[1]},
    ]
    write_plan(replace(plan, ablation=claims[1]), None)  # and no run has finished yet
    said = []
    for number, claim in enumerate(claims):
        arms = {name: [] for name in "abc"[: number + 1]}  # arms may be added
        assert launch(replace(plan, ablation=claim | {"arms": arms}), **how) == 0
        said += re.findall(r"^changed   (.*) of the abl", capsys.readouterr().out, re.MULTILINE)
    assert said == ["claim, contrasts", "metric, baseline"]
    stored = json.loads(path.read_text())
    assert stored["contrasts"] == signs[1]
    until = [datetime.strptime(one.pop("until"), "%Y-%m-%dT%H:%M:%SZ") for one in stored["before"]]
    assert stored["before"] == [
        {"claim": "a beats b", "contrasts": signs[0]},
        {"metric": "test/top1", "baseline": "b"},
    ]
    now = datetime.now(UTC).replace(tzinfo=None)
    assert all(0 <= (now - when).total_seconds() < 60 for when in until)
    shared = tmp_path / "shared"
    collect(find([study.folder]), shared, warn=lambda text: None)
    collected = json.loads((shared / "ablation.json").read_text())
    assert collected["before"] == json.loads(path.read_text())["before"]


def test_a_cost_may_be_the_metric(study, capsys):
    study.metric = "cost/params_m"
    study.launch()
    assert [row[:4] for row in table(capsys.readouterr().out)] == [
        [arm, "2", "0.2500", "0.0000"] for arm in ("a", "b")
    ]


def test_n_is_of_the_values_that_the_mean_is_of(study, capsys):
    study.metric = "cost/gmacs"  # null in the record: it was not measured
    study.launch()
    assert table(capsys.readouterr().out)[0][:5] == ["a", "0", "of", "2", "-"]


@pytest.mark.parametrize("metric", ["cost/latency_ms", "time/fit_s"])
def test_times_are_not_measured_side_by_side(study, metric):
    study.metric = metric
    with pytest.raises(UserError, match=f"jobs=2: {metric} is measured one run at a time"):
        study.launch(jobs=2)
    with pytest.raises(UserError, match=r"slurm\.exclusive: "):
        study.launch(jobs=1, slurm={"time": 5, "partition": "gpu"})
    assert not study.trace()
    assert study.launch(jobs=1) == 0


@pytest.mark.parametrize("held", [False, True])
def test_times_are_not_measured_beside_another_launcher(study, held):
    plan = study.plan()
    change = {"hold": {"cost": "latency"}} if held else {"metric": "time/fit_s"}
    how = {"jobs": 1, "stale": None, "keep": "all", "command": FAKE}
    with at_work(study.folder), pytest.raises(UserError, match="another launcher is at work"):
        launch(replace(plan, **change), **how)
    # The other way round: one that times nothing would spoil what the first one times.
    with (
        at_work(study.folder, alone=True),
        pytest.raises(UserError, match="another launcher is at work"),
    ):
        launch(plan, **how)
    assert not study.trace()
    assert not (study.folder / "plan.json").exists()
    assert launch(replace(plan, jobs=plan.jobs[:1], **change), **how) == 0


def test_a_job_that_cannot_begin_is_named_and_the_others_run(study, capfd):
    (study.folder / ".locks" / "a-s1").mkdir(parents=True)  # stands for what is not ours to write
    assert study.launch() == 1
    said, errors = capfd.readouterr()
    assert table(said)[0][:4] == ["a", "1", "of", "2"]
    assert "failed    a-s1: nothing was written before it ended" in said.split("arm ")[-1]
    assert "error: a-s1: " in errors
    assert "Traceback" not in errors


def test_a_process_that_cannot_be_started_is_one_failed_job(study, capsys, monkeypatch):
    begin, asked = subprocess.Popen, []

    def fork(words, **settings):
        asked.extend(word for word in words if word.endswith("job_process"))
        if len(asked) == 2:
            asked.append("and the next one can be")
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        return begin(words, **settings)

    monkeypatch.setattr("cnnlab.ablation.local_pool.subprocess.Popen", fork)
    assert study.launch(jobs=4) == 1
    said = capsys.readouterr().out.split("arm ")[-1]
    assert said.count("failed ") == 1
    assert "a-s2: its process could not be started: " in said
    assert study.trace() == {k: n for k, n in DONE_ONCE.items() if not k.startswith("a-s2")}


@pytest.mark.parametrize(
    ("crash", "reason"),
    [
        ("error", "RuntimeError: out of luck"),
        ("kill", "killed by SIGKILL (out of memory?)"),
        ("silent", "exit code 0"),
        ("refuse", "error: data.root=/nowhere: not there"),
    ],
)
def test_a_crash_touches_no_other_job_and_is_retried_alone(study, capsys, crash, reason):
    broken = study.folder.parent / "broken"
    broken.parent.mkdir()
    broken.touch()
    study.of["a-s2"] = [f"crash={crash}", f"broken={broken}"]
    assert study.launch() == 1
    said = capsys.readouterr().out
    rows = table(said)
    assert rows[0] == ["a", "1", "of", "2", "0.5625", "-", "0.25", "-"]
    assert rows[1] == ROW_B
    assert f"failed    a-s2: {reason} ({study.folder}/a-s2/log.txt)" in said.split("arm ")[-1]
    before = study.trace()
    broken.unlink()
    assert study.launch() == 0
    assert table(capsys.readouterr().out) == [ROW_A, ROW_B]
    again = study.trace() - before
    # It had a checkpoint of its first epoch, where it got so far.
    assert again == (
        {"a-s2 started": 1, "a-s2 epoch 0": 1, "a-s2 epoch 1": 1}
        if crash == "refuse"
        else {"a-s2 resumed": 1, "a-s2 epoch 1": 1}
    )


def test_sigkill_of_the_launcher_ends_its_jobs_and_a_repeat_goes_on(study, capsys, wait_for):
    gate = study.folder.parent / "gate"
    study.words = ["epochs=2", f"gate={gate}"]
    launcher = study.spawn(jobs=2)
    wait_for(lambda: study.trace() >= Counter(["a-s1 epoch 0", "a-s2 epoch 0"]))
    launcher.kill()
    launcher.wait()
    wait_for(lambda: not any(is_claimed(study.folder / name) for name in ("a-s1", "a-s2")))
    gate.touch()
    assert study.trace() == {
        f"{name} {event}": 1 for name in ("a-s1", "a-s2") for event in ("started", "epoch 0")
    }
    assert study.launch() == 0
    assert table(capsys.readouterr().out) == [ROW_A, ROW_B]
    # Each epoch once: nothing twice, nothing lost.
    assert study.trace() == DONE_ONCE | {"a-s1 resumed": 1, "a-s2 resumed": 1}


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_jobs_cleanly_and_a_repeat_goes_on(study, capsys, wait_for, signum):
    gate = study.folder.parent / "gate"
    study.words = ["epochs=2", f"gate={gate}"]
    launcher = study.spawn(jobs=2)
    wait_for(lambda: study.trace() >= Counter(["a-s1 epoch 0", "a-s2 epoch 0"]))
    launcher.send_signal(signum)
    said, _ = launcher.communicate(timeout=60)
    assert launcher.returncode == 128 + signum
    assert "4 of 4 runs are to do; to go on, repeat the command" in said
    status = [read_state(study.folder / name).status for name in ("a-s1", "a-s2", "b-s1")]
    assert status == ["stopped", "stopped", "new"]
    gate.touch()
    assert study.launch() == 0
    assert study.trace() == DONE_ONCE | {"a-s1 resumed": 1, "a-s2 resumed": 1}
    assert table(capsys.readouterr().out) == [ROW_A, ROW_B]


def test_a_second_ctrl_c_kills(study, wait_for):
    study.words = ["epochs=2", "gate=/never", "deaf=yes"]
    launcher = study.spawn(jobs=2)
    wait_for(lambda: study.trace() >= Counter(["a-s1 epoch 0", "a-s2 epoch 0"]))
    launcher.send_signal(signal.SIGINT)
    time.sleep(0.7)
    assert launcher.poll() is None
    launcher.send_signal(signal.SIGINT)
    assert launcher.wait(60) == 130
    assert read_state(study.folder / "a-s1").status == "half-done"


@pytest.mark.parametrize("what", ["config", "commit"])
def test_outdated_runs_are_refused_kept_or_run_again(study, capsys, monkeypatch, what):
    monkeypatch.setenv("FAKE_COMMIT", "1111111aaa")
    commit = {"commit": "1111111aaa"}
    monkeypatch.setattr("cnnlab.ablation.code_version.git", lambda: commit)
    assert study.launch() == 0
    if what == "config":
        study.identities["b-s1"] = "another"
    else:
        commit["commit"] = "2222222bbb"
        monkeypatch.setenv("FAKE_COMMIT", "2222222bbb")
    with pytest.raises(UserError, match=r"stale=null: .* allowed: keep .* rerun") as error:
        study.launch()
    assert "\n" not in str(error.value)
    detail = "1 of another config (b-s1)" if what == "config" else "4 of another commit (1111111;"
    assert detail in str(error.value)
    capsys.readouterr()
    assert study.launch(stale="keep") == 0
    assert study.trace() == DONE_ONCE
    kept = "1 of another config or other code (stale=keep): b-s1"
    if what == "commit":
        kept = "4 of another config or other code (stale=keep): a-s1, "
    assert f"kept      {kept}" in capsys.readouterr().out
    study.of["b-s1"] = ["value=0.75"]
    assert study.launch(stale="rerun") == 0
    moved = sorted(path.name for path in (study.folder / ".stale").iterdir())
    assert moved == (
        ["b-s1-1"]
        if what == "config"
        else [f"{n}-1" for n in sorted(("a-s1", "a-s2", "b-s1", "b-s2"))]
    )
    assert read_state(study.folder / ".stale" / "b-s1-1").metrics == {"test/top1": 0.3125}
    assert read_state(study.folder / "b-s1").metrics == {"test/top1": 0.75}
    assert study.launch() == 0  # and now nothing is outdated


def test_uncommitted_edits_are_other_code(study, monkeypatch, capsys):
    now = {"commit": "1111111aaa", "diff": "eeeeeee0"}
    monkeypatch.setattr("cnnlab.ablation.code_version.git", lambda: now)
    monkeypatch.setenv("FAKE_COMMIT", "1111111aaa")
    plan = study.plan()
    how = {"jobs": 1, "keep": "all", "command": FAKE}
    for job, diff in zip(plan.jobs[:3], (None, "", "eeeeeee0"), strict=True):
        monkeypatch.delenv("FAKE_DIFF", raising=False)
        if diff is not None:  # else it was recorded before it was kept: the commit has to do
            monkeypatch.setenv("FAKE_DIFF", diff)
        now["diff"] = diff or None
        assert launch(replace(plan, jobs=[job]), stale=None, **how) == 0
    three = replace(plan, jobs=plan.jobs[:3])
    said = r"1 of other uncommitted edits \(1111111; now 1111111\+eeeeeee\); allowed: keep"
    with pytest.raises(UserError, match=said):
        launch(three, stale=None, **how)
    assert launch(three, stale="keep", **how) == 0
    now["diff"] = None
    said = r"1 of other uncommitted edits \(1111111\+eeeeeee; now 1111111\), of seeds or arms left"
    with pytest.raises(UserError, match=said):
        launch(replace(plan, jobs=plan.jobs[1:2], others=plan.jobs[2:3]), stale=None, **how)


def test_code_that_changes_on_the_way_starts_nothing_more(study, monkeypatch, capsys):
    monkeypatch.setenv("FAKE_COMMIT", "1111111aaa")

    def git() -> dict:
        over = study.trace()["a-s2 epoch 1"]
        return {"commit": "2222222bbb" if over else "1111111aaa", "diff": None}

    monkeypatch.setattr("cnnlab.ablation.code_version.git", git)
    assert study.launch(jobs=1) == 1
    said = capsys.readouterr().out
    assert said.count("code changed since the launch (commit 1111111 -> 2222222): 2 jobs not") == 1
    assert study.trace() == {key: n for key, n in DONE_ONCE.items() if key.startswith("a-")}
    monkeypatch.setenv("FAKE_COMMIT", "2222222bbb")
    assert study.launch(jobs=1, stale="keep") == 0
    assert study.trace() == DONE_ONCE


@pytest.mark.parametrize(("stale", "code"), [(None, 1), ("rerun", 1), ("keep", 0)])
def test_a_job_that_imported_other_code_is_not_counted(study, monkeypatch, capsys, stale, code):
    """It changed after the launcher's look, and was changed back."""
    monkeypatch.setattr("cnnlab.ablation.code_version.git", lambda: {"commit": "1111111aaa"})
    monkeypatch.setenv("FAKE_COMMIT", "2222222bbb")
    plan = study.plan()
    how = {"jobs": 1, "keep": "all", "command": FAKE}
    assert launch(replace(plan, jobs=plan.jobs[:1]), stale=stale, **how) == code
    said = "failed    a-s1: made by other code than that of the launch; stale=keep counts it"
    assert (said in capsys.readouterr().out) is bool(code)


def test_runs_of_other_seeds_and_another_config_are_refused_or_named(study, capsys):
    plan = study.plan()
    plan = replace(plan, jobs=plan.jobs[1:2], others=plan.jobs[:1])  # a-s2 now, a-s1 before
    how = {"jobs": 1, "keep": "all", "command": FAKE}
    record = study.folder / "a-s1" / "run.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"status": "finished", "identity": "another"}))
    with pytest.raises(UserError, match=r"1 of another config \(a-s1\), of seeds or arms left"):
        launch(plan, stale=None, **how)
    assert not study.trace()
    for stale in ("rerun", "keep"):
        assert launch(plan, stale=stale, **how) == 0
        said = capsys.readouterr().out
        assert "code and stay as they are: a-s1; stale=rerun with seed=1 and arms a" in said
    assert json.loads(record.read_text())["identity"] == "another"
    record.write_text(json.dumps({"status": "finished", "identity": plan.others[0].identity}))
    assert launch(plan, stale=None, **how) == 0


def test_the_keys_that_changed_are_named(study):
    then = OmegaConf.to_container(compose(["optimizer.lr=0.1"]).cfg, resolve=True)
    assert isinstance(then, dict)
    then["trainer"] |= {"precision": "bf16-mixed", "threads": 2}  # what auto and null became
    folder = study.folder / "a-s1"
    folder.mkdir(parents=True)
    record = {"status": "finished", "identity": identity(then), "config": then}
    (folder / "run.json").write_text(json.dumps(record))
    plan = study.plan()
    plan.jobs[0].words[:] = ["optimizer.lr=0.2", "seed=0"]
    with pytest.raises(UserError, match=re.escape("(a-s1: optimizer.lr=0.2 (was 0.1))")):
        launch(plan, jobs=1, stale=None, keep="all", command=FAKE)


def test_a_half_done_run_of_another_config_is_moved_not_continued(study):
    study.launch()
    folder = study.folder / "a-s1"
    record = folder / "run.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"status": "running"}))
    study.identities["a-s1"] = "another"
    with pytest.raises(UserError, match="stale"):
        study.launch()
    assert study.launch(stale="keep") == 0
    assert (study.folder / ".stale" / "a-s1-1" / "run.json").exists()
    assert study.trace()["a-s1 started"] == 2


def test_a_run_without_checkpoint_starts_over(study):
    folder = study.folder / "a-s1"
    (folder / "pictures").mkdir(parents=True)
    (folder / "pictures" / "half.png").touch()
    (folder / "metrics.csv").write_text("step,epoch,time_s,key,value\n1,0,0.1,train/loss,2.0\n")
    stopped = {"status": "running", "identity": "an older one", "git": {"commit": "older"}}
    (folder / "run.json").write_text(json.dumps(stopped))
    assert study.launch() == 0  # nothing was there to be outdated
    assert not (folder / "pictures").exists()
    assert "train/loss" not in (folder / "metrics.csv").read_text()


def test_identity_before_auto_settings_is_enough(study):
    study.words.append("auto=yes")
    assert study.launch() == 0
    assert study.launch() == 0
    assert study.trace() == DONE_ONCE


@pytest.mark.parametrize(
    ("keep", "left"),
    [
        ("all", {"checkpoints", "weights.safetensors", "backbone.safetensors"}),
        ("weights", {"weights.safetensors", "backbone.safetensors"}),
        ("none", set()),
    ],
)
def test_keep_frees_the_disk_of_finished_runs_only(study, keep, left):
    broken = study.folder.parent / "broken"
    broken.parent.mkdir()
    broken.touch()
    study.of["a-s2"] = ["crash=error", f"broken={broken}"]
    study.launch(keep=keep)
    always = {"run.json", "metrics.csv", "log.txt"}
    assert {path.name for path in (study.folder / "a-s1").iterdir()} == left | always
    assert (study.folder / "a-s2" / "checkpoints" / "last.ckpt").exists()


def test_jobs_share_cores_and_gpus(study, monkeypatch, capfd):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    names = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "CUDA_VISIBLE_DEVICES")
    show = f"import os; print('env', *(os.environ[n] for n in {names}))"
    study.of = {"a-s1": ["trainer.threads=3"]}
    launch(study.plan(), jobs=4, stale=None, keep="all", command=[sys.executable, "-c", show])
    said = {}
    for job in study.plan().jobs:
        lines = (job.folder / "log.txt").read_text().splitlines()
        said[job.name] = next(line for line in lines if line.startswith("env")).split()[1:]
    assert said["a-s1"] == ["3", "PASSIVE", "4"]
    share = str(max(1, len(os.sched_getaffinity(0)) // 4))
    assert said["a-s2"] == [share, "PASSIVE", "7"]
    assert [said[name][2] for name in ("b-s1", "b-s2")] == ["4", "7"]


def test_progress_is_read_from_the_end_of_a_long_file(tmp_path):
    rows = [f"{i},{i // 100},0.1,train/loss,{i}.5\n" for i in range(10_000)]
    text = "step,epoch,time_s,key,value\n" + "".join(rows)
    assert len(text) > TAIL
    (tmp_path / "metrics.csv").write_text(text + "10000,100,0.1,train/lo")  # torn by a kill
    progress = read_progress(tmp_path)
    assert (progress.epoch, progress.metrics) == (99, {"train/loss": 9999.5})
    assert read_progress(tmp_path / "nowhere").epoch == 0


@pytest.mark.parametrize("pad", ["", "x"])  # so that one of the two begins within a letter
def test_progress_of_a_key_that_is_not_ascii(tmp_path, pad):
    rows = [f"{i},3,0.1,train/{'é' * 40}{pad},0.5\n" for i in range(1000)]
    (tmp_path / "metrics.csv").write_text("step,epoch,time_s,key,value\n" + "".join(rows) + pad)
    assert read_progress(tmp_path).epoch == 3


def test_progress_of_a_file_that_is_not_ours(tmp_path):
    (tmp_path / "metrics.csv").write_text("step,epoch,time_s,key,value\n1,2\n")
    assert read_progress(tmp_path).epoch == 0


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"status": "finished"}'])
def test_a_foreign_record_is_named_and_left_alone(study, text):
    folder = study.folder / "a-s1"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(text)
    with pytest.raises(UserError, match=r"a-s1/run\.json: .* move it away"):
        study.launch()
    assert (folder / "run.json").read_text() == text


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ({"stale": "kept"}, "stale=kept: allowed: keep, rerun; did you mean 'keep'"),
        ({"keep": "weight"}, "keep=weight: allowed: all, weights, none; did you mean 'weights'"),
    ],
)
def test_wrong_words(study, words, named):
    with pytest.raises(UserError, match=named):
        study.launch(**words)


def test_several_runs_within_a_sweep_of_wandb_are_refused(study, monkeypatch):
    """They would share the one id that the agent gives."""
    monkeypatch.setenv("WANDB_SWEEP_ID", "s1")
    with pytest.raises(UserError, match="WANDB_SWEEP_ID is set"):
        study.launch()
    assert not study.folder.exists()


def test_a_folder_that_cannot_be_made_is_one_line(study):
    plan = study.plan()
    study.folder.parent.mkdir(parents=True, exist_ok=True)
    study.folder.write_text("a file")
    with pytest.raises(UserError, match=r"^runs: .*study cannot be made \(Not a directory\)$"):
        launch(plan, jobs=1, stale=None, keep="all", command=FAKE)

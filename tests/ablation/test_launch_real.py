"""Real trainings on the embedded digits, killed and repeated."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from cnnlab.ablation.job import Job, Plan
from cnnlab.ablation.launch import launch
from cnnlab.ablation.local_pool import AT_ONCE
from cnnlab.callbacks.checkpoint import Checkpoint
from cnnlab.config import compose
from cnnlab.tracking.folder import JOB_FOLDER
from cnnlab.tracking.identity import identity
from cnnlab.tracking.reading import read_run
from train import run

WORDS = [
    *("logger=none", "model=lenet5_modern", "trainer.max_epochs=3", "trainer.threads=1"),
    *("trainer.precision=32-true", "data.fraction=0.2", "callbacks.pictures=null"),
]


def plan_in(folder: Path) -> Plan:
    from omegaconf import OmegaConf

    jobs = []
    for arm, words in (("narrow", ["optimizer.lr=0.05"]), ("wide", ["optimizer.lr=0.1"])):
        words = [*WORDS, *words, "seed=1"]
        config = OmegaConf.to_container(compose(words).cfg, resolve=True)
        jobs.append(Job(arm, 1, words, folder / f"{arm}-s1", identity(config), None))
    return Plan("study", folder, None, jobs, "test/top1")


def start(folder: Path) -> int:
    return launch(plan_in(folder), jobs=1, stale=None, keep="all")


def final_table(printed: str) -> str:
    return printed[printed.rindex("arm ") :].split("\n\n")[0]


def test_no_latency_beside_other_jobs(tmp_path, monkeypatch):
    monkeypatch.setenv(AT_ONCE, "2")
    short = [f"trainer.limit_{part}_batches=1" for part in ("train", "val", "test")]
    composed = compose([*WORDS, *short, f"runs={tmp_path}"])
    metrics = run(composed)
    assert "cost/params_m" in metrics
    assert metrics["cost/latency_ms"] is None


def test_a_half_done_job_goes_on_as_it_was_beside_other_jobs(tmp_path, monkeypatch):
    """Another `jobs=N` or machine gives other threads, and another precision where it is auto."""
    words = [word for word in WORDS if not word.startswith(("trainer.threads", "trainer.prec"))]
    composed = compose([*words, "trainer.limit_train_batches=2"])
    monkeypatch.setenv(JOB_FOLDER, str(tmp_path / "job"))
    before = torch.get_num_threads()
    saved = Checkpoint.on_train_epoch_end

    def die(self, trainer, task):
        saved(self, trainer, task)
        raise RuntimeError("killed")

    with monkeypatch.context() as first:
        first.setenv("OMP_NUM_THREADS", "1")
        first.setattr("cnnlab.trainer._has_bf16", lambda accelerator: False)
        first.setattr(Checkpoint, "on_train_epoch_end", die)
        with pytest.raises(RuntimeError, match="killed"):
            run(composed)
    try:
        monkeypatch.setenv("OMP_NUM_THREADS", "2")
        monkeypatch.setattr("cnnlab.trainer._has_bf16", lambda accelerator: True)
        run(composed)
    finally:
        torch.set_num_threads(before)
    found = read_run(tmp_path / "job")
    assert found.status == "finished"
    assert len(found.time["sessions"]) == 2
    # Who launched it sees by that how far it is: 2 batches an epoch.
    assert found.time["steps"] == 2 * found.config["trainer"]["max_epochs"]
    assert found.time["steps"] == max(found.history["train/loss"].steps)
    kept = found.config["trainer"]
    assert (kept["threads"], kept["precision"], kept["channels_last"]) == (1, "32-true", False)


def test_killed_in_the_middle_of_a_job_and_repeated_equals_uninterrupted(tmp_path, capfd):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path;"
        "import test_launch_real; sys.exit(test_launch_real.start(Path(sys.argv[2])))"
    )
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    command = [sys.executable, "-c", code, str(Path(__file__).parent), str(killed)]
    launcher = subprocess.Popen(command, env=os.environ | {"COLUMNS": "100"})
    deadline = time.monotonic() + 120
    while not (killed / "narrow-s1" / "checkpoints" / "last.ckpt").exists():
        assert time.monotonic() < deadline
        assert launcher.poll() is None
        time.sleep(0.005)
    launcher.send_signal(signal.SIGKILL)
    launcher.wait()
    time.sleep(0.5)
    assert read_run(killed / "narrow-s1").status == "running"
    capfd.readouterr()
    assert start(killed) == 0
    after = capfd.readouterr().out
    assert start(whole) == 0
    assert final_table(after) == final_table(capfd.readouterr().out)
    first, second = (read_run(folder / "narrow-s1") for folder in (killed, whole))
    assert len(first.time["sessions"]) == 2
    assert len(second.time["sessions"]) == 1
    for key in ("train/loss", "val/loss", "test/loss"):  # to the bit
        assert first.history[key].values == second.history[key].values
    assert len(read_run(killed / "wide-s1").time["sessions"]) == 1

"""Real trainings on the embedded digits, killed and repeated."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cnnlab.ablation.job import Job, Plan
from cnnlab.ablation.launch import launch
from cnnlab.ablation.local_pool import AT_ONCE
from cnnlab.config import compose
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


@pytest.mark.slow
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

"""Two processes give the figures of one on a set of odd size: no sample is counted twice."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cnnlab.tracking.reading import read_run

ROOT = Path(__file__).parents[1]


def train(runs: Path, *words: str) -> Path:
    shared = [
        *("model=lenet5_modern", "logger=none", f"runs={runs}", "callbacks.pictures=null"),
        *("trainer.accelerator=cpu", "trainer.threads=1", "trainer.precision=32-true"),
        # The same steps in both: two processes of 8 see what one of 16 sees.
        *("trainer.max_epochs=1", "data.fraction=0.25", "scheduler=constant", "optimizer.lr=0.01"),
        *("data.eval_batch_size=50", "data.augment.padding=0"),
    ]
    done = subprocess.run(
        [sys.executable, "train.py", *shared, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    folders = list((runs / "digits-lenet5_modern").iterdir())
    assert len(folders) == 1, f"one run, one folder: {folders}"
    return folders[0]


def test_two_processes_equal_one(tmp_path):
    one = read_run(train(tmp_path / "one", "data.batch_size=16"))
    two = read_run(train(tmp_path / "two", "data.batch_size=8", "trainer=ddp", "trainer.devices=2"))
    assert one.data["sizes"]["val"] % 2 == 1, "the point is an odd size"
    assert sum(map(sum, two.results["test/confusion"])) == two.data["sizes"]["test"]
    keys = [key for key in one.metrics if key.startswith(("val/", "test/"))]
    assert len(keys) >= 10
    for key in keys:
        assert two.metrics[key] == pytest.approx(one.metrics[key], abs=2e-4), key
    assert json.dumps(two.results["test/confusion"]) == json.dumps(one.results["test/confusion"])

"""Fixtures that several tests share."""

import copy
import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cnnlab.tracking.reading import History, RunData

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def real_data(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`real_data("camvid")`: the folder of a real data set, unpacked once, beside the checkout.

    The packed sets are looked for in CNNLAB_TEST_DATA, else in ../shared/data; where a set is
    absent the test skips and says which.
    """
    packed = Path(os.environ.get("CNNLAB_TEST_DATA", ROOT.parent / "shared" / "data"))
    cache = ROOT.parent / "cache" / "data"

    def find(name: str) -> Path:
        folder = cache / name
        if folder.is_dir():
            return folder
        has_tar = (packed / f"{name}.tar").is_file()
        # Fashion-MNIST has no tar: unpack.py makes it from a Debian package.
        if not has_tar and not (name == "fashion_mnist" and (packed / "unpack.py").is_file()):
            pytest.skip(f"real data set '{name}' is not in {packed}")
        target = tmp_path_factory.mktemp("data")
        done = subprocess.run(
            [sys.executable, packed / "unpack.py", name, "--dest", target],
            capture_output=True,
            text=True,
        )
        if done.returncode and not has_tar:
            pytest.skip(f"real data set '{name}' cannot be had here: {done.stderr[-200:]}")
        assert done.returncode == 0, done.stderr
        return keep(target / name, folder)

    def keep(made: Path, folder: Path) -> Path:
        """Into the cache, whole or not at all: the processes of xdist share it."""
        part = folder.with_name(f".{folder.name}.{os.getpid()}")
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(made, part)
            part.rename(folder)
        except OSError:
            return folder if folder.is_dir() else made
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return folder

    return find


CONFIG: dict[str, Any] = {
    "seed": 0,
    "scale": "small",
    "tested": "best",
    "model": {"_target_": "net", "name": "net", "groups": 1, "width": 16, "weights": None},
    "optimizer": {"_target_": "sgd", "name": "sgd", "lr": 0.1},
    "recipe": {"name": "fast"},
    "loss": {"_target_": "ce"},
    "task": {"monitor": "val/top1", "mode": "max"},
    "data": {"root": "/here", "seed": 0, "split_seed": 0, "batch_size": 64},
    "trainer": {"max_epochs": 2, "precision": "32-true", "threads": 1, "devices": 1},
}
CHOICES = {"model": "net", "data": "toy", "loss": "ce", "recipe": "fast", "optimizer": "sgd"}


@pytest.fixture
def made_run(tmp_path: Path) -> Callable[..., RunData]:
    """A finished run as `find` gives it, without having run.

    `made_run({"model.groups": 4}, seed=1, top1=0.9, arm="g4", status="failed", ...)`: dotted keys
    of the config that are not those of `CONFIG`; the seed; test/top1 (None: not logged), which
    val/top1 reaches in two epochs of 16 steps; the other words are fields of `RunData`.
    """

    def make(
        keys: dict[str, Any] | None = None,
        *,
        seed: int | None = 0,
        top1: float | None = 0.9,
        arm: str | None = None,
        study: str = "study",
        **fields: Any,
    ) -> RunData:
        config = copy.deepcopy(CONFIG)
        words = {"seed": seed, "data.seed": seed, **(keys or {})}
        for key, value in words.items():
            *nodes, last = key.split(".")
            node = config
            for name in nodes:
                node = node.setdefault(name, {})
            node[last] = value
        name = f"{arm or '-'.join(map(str, (keys or {'net': ''}).values()))}-s{seed}"
        curve = [] if top1 is None else [top1 - 0.1, top1]
        steps, epochs = [16, 32][: len(curve)], [0, 1][: len(curve)]
        ends = {} if top1 is None else {"test/top1": top1, "time/fit_s": 9.0}
        run = RunData(
            folder=tmp_path / "runs" / study / name,
            status="finished",
            reason=None,
            name=name,
            identity=f"id-{name}",
            seed=seed,
            choices=dict(CHOICES),
            overrides=[f"{key}={value}" for key, value in (keys or {}).items()],
            config=config,
            data={
                "name": "Toy",
                "sizes": {"train": 100, "val": 20, "test": 20},
                "digest": {"train": "a" * 64, "val": "b" * 64, "test": "c" * 64},
            },
            metrics={} if top1 is None else {"val/top1": top1, **ends},
            results={},
            best={"key": "val/top1", "mode": "max", "value": top1, "epoch": 1, "step": 32},
            tested="best",
            cost={"cost/params_m": 1.0, "cost/gmacs": 0.5, "cost/latency_ms": None},
            time={"started": "2026-01-02T00:00:00+00:00", "ended": None, "total_s": 10.0},
            environment={"cpu": "Abacus", "threads": 1, "gpus": []},
            git={"commit": "1234567" + "0" * 33, "dirty": False},
            weights=None,
            parent=None,
            wandb_id=None,
            machine={},
            history={
                "val/top1": History(steps, epochs, [1.0, 2.0][: len(curve)], curve),
                **{key: History([32], [1], [2.0], [value]) for key, value in ends.items()},
            },
            job=None if arm is None else {"name": study, "arm": arm},
        )
        return dataclasses.replace(run, **fields)

    return make


@pytest.fixture
def write_run() -> Callable[[RunData], Path]:
    """Writes a run as its record would have; returns its folder."""

    def write(run: RunData) -> Path:
        run.folder.mkdir(parents=True)
        stored = dataclasses.asdict(run)
        for key in ("folder", "results", "history", "wandb"):
            del stored[key]
        (run.folder / "run.json").write_text(json.dumps({"schema": 1} | stored))
        rows = [
            f"{step},{epoch},{time_s},{key},{value}\n"
            for key, one in run.history.items()
            for step, epoch, time_s, value in zip(
                one.steps, one.epochs, one.times_s, one.values, strict=True
            )
        ]
        text = "step,epoch,time_s,key,value\n" + "".join(rows)
        (run.folder / "metrics.csv").write_text(text)
        return run.folder

    return write

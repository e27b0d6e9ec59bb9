"""Seconds to find and compare 1,000 runs of 100 points, after imports; an error above 5.

Twice: 100 arms of ten seeds, and 1,000 configs of one seed, as a search leaves them.
"""

import json
import tempfile
import time
from pathlib import Path
from typing import Any

from cnnlab.config.compose import compose
from cnnlab.config.plain import to_plain
from cnnlab.tracking.compare import compare
from cnnlab.tracking.find import find
from cnnlab.tracking.identity import identity

SHAPES = ((100, 10), (1000, 1))
POINTS = 100
KEYS = ("train/loss", "val/loss", "val/top1")
ALLOWED_S = 5.0


def make_runs(folder: Path, arms: int, seeds: int) -> None:
    """Records as `train.py` leaves them: a config of full length, made-up numbers."""
    config = to_plain(compose([]).cfg)
    for arm in range(arms):
        for seed in range(seeds):
            _make_run(folder / f"arm{arm}-s{seed}", config, arm, seed)


def _make_run(folder: Path, config: dict[str, Any], arm: int, seed: int) -> None:
    config = config | {"seed": seed, "optimizer": config["optimizer"] | {"lr": 0.1 + arm / 1000}}
    values = {key: 1 / (1 + seed + arm) for key in (*KEYS, "test/top1")}
    started = {"started": f"2026-01-01T{arm % 24:02}:{seed:02}:{arm % 60:02}+00:00"}
    record = {
        "schema": 1,
        "status": "finished",
        "reason": None,
        "name": folder.name,
        "identity": identity(config),
        "seed": seed,
        "metrics": values,
        "best": None,
        "tested": "last",
        "cost": {"cost/params_m": 1.0 + arm, "cost/gmacs": 0.1},
        "time": started | {"ended": None, "total_s": 60.0, "sessions": []},
        "data": {"name": "Digits", "sizes": {"train": 1079, "val": 359, "test": 359}},
        "weights": None,
        "parent": None,
        "wandb_id": None,
        "overrides": [f"optimizer.lr={0.1 + arm / 1000}", f"seed={seed}", "runs=$PATH1"],
        "choices": {"model": "resnet20_cifar", "data": "digits"},
        "config": config | {"runs": "$PATH1"},
        "environment": {"cpu": "any", "threads": 1, "gpus": []},
        "git": {"commit": "0" * 40, "dirty": False},
        "machine": {"host": "any", "folder": "/any", "paths": {"$PATH1": "/any/runs"}},
    }
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(record, indent=2))
    rows = [
        f"{step * 17},{step},{step / 7:.3f},{key},{1 / (1 + step + arm + seed)!r}\n"
        for step in range(POINTS)
        for key in KEYS
    ]
    rows.append(f"{POINTS * 17},{POINTS},99.000,test/top1,{values['test/top1']!r}\n")
    (folder / "metrics.csv").write_text("step,epoch,time_s,key,value\n" + "".join(rows))


def measure() -> list[dict[str, Any]]:
    """Rows of `find`, of `compare`, and of both; files just written, so in the system's cache."""
    return [row for arms, seeds in SHAPES for row in _measure(arms, seeds)]


def _measure(arms: int, seeds: int) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as name:
        make_runs(Path(name) / "runs" / "many", arms, seeds)
        start = time.perf_counter()
        runs = find([name])
        found = time.perf_counter()
        compare(runs, metric="test/top1", cost="params_m", by=None, baseline=None)
        compared = time.perf_counter()
    assert len(runs) == arms * seeds
    shape = f"{arms:,} x {seeds}"
    return [
        _row("find", found - start, "-", shape),
        _row("compare", compared - found, "-", shape),
        _row("find and compare", compared - start, "1 or less", shape) | {"limit": ALLOWED_S},
    ]


def _row(name: str, seconds: float, target: str, shape: str) -> dict[str, Any]:
    return {
        "name": f"{name} {shape} runs of {POINTS} points",
        "ours": seconds,
        "reference": ALLOWED_S,
        "unit": "s",
        "ratio": seconds / ALLOWED_S,
        "target": target,
        "note": f"of the {ALLOWED_S:g} s allowed; configs x seeds, {len(KEYS)} curves",
    }

"""A thousand runs read and compared, after imports."""

import copy
import io
import json
import random
import tempfile
import time
from pathlib import Path
from typing import Any

ARMS, SEEDS, POINTS, KEYS = 100, 10, 100, ("val/top1", "val/loss", "train/loss", "train/lr")
ALLOWED_S = 5.0


def measure() -> list[dict[str, Any]]:
    """Seconds to find, compare and print runs of `KEYS` metrics, each of `POINTS` points."""
    import scipy.special  # noqa: F401  (the statistics import it where they use it)
    from rich.console import Console

    from cnnlab.tracking.compare import compare
    from cnnlab.tracking.find import find
    from cnnlab.tracking.tables import terminal

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "study"
        _write(folder)
        start = time.perf_counter()
        runs = find([folder])
        read = time.perf_counter()
        comparison = compare(runs, metric=None, cost="gmacs", by=None, baseline=None)
        Console(file=io.StringIO(), width=80).print(terminal(comparison))
        end = time.perf_counter()
    assert len(runs) == ARMS * SEEDS
    assert len(comparison.groups) == ARMS
    return [
        {
            "name": f"{len(runs):,} runs of {POINTS} points compared",
            "ours": end - start,
            "reference": ALLOWED_S,
            "unit": "s",
            "ratio": (end - start) / ALLOWED_S,
            "target": "<= 1",
            "note": f"reading {read - start:.2g} s; {len(KEYS)} metrics a run, {ARMS} groups; the "
            "reference is what it may take",
        }
    ]


def _write(folder: Path) -> None:
    """Records of an ordinary config, as the record writes them."""
    from cnnlab.config import compose

    composed = compose(["logger=none"])
    from omegaconf import OmegaConf

    config: Any = OmegaConf.to_container(composed.cfg, resolve=True)
    draw = random.Random(0)
    for arm in range(ARMS):
        for seed in range(SEEDS):
            own = copy.deepcopy(config)
            own["seed"] = own["data"]["seed"] = own["model"]["seed"] = seed
            own["model"]["width"] = arm + 1
            top1 = 0.5 + arm / 1000 + draw.gauss(0, 0.01)
            _write_run(folder / f"{arm}-s{seed}", own, dict(composed.choices), top1)


def _write_run(folder: Path, config: dict[str, Any], choices: dict[str, Any], top1: float) -> None:
    folder.mkdir(parents=True)
    name = folder.name
    record = {
        **{"schema": 1, "status": "finished", "reason": None, "name": name, "identity": name},
        **{"seed": config["seed"], "metrics": {"test/top1": top1, "val/top1": top1}},
        **{"best": None, "tested": "last", "cost": {"cost/gmacs": 0.04, "cost/params_m": 0.3}},
        "time": {"started": "2026-01-01T00:00:00+00:00", "ended": None, "total_s": 60.0},
        "data": {
            "name": "Digits",
            "digest": {"train": "a" * 64, "val": "b" * 64, "test": "c" * 64},
        },
        **{"weights": None, "parent": None, "wandb_id": None, "overrides": [], "choices": choices},
        **{"config": config, "environment": {"cpu": "?", "threads": 1}, "git": None},
        "machine": {"paths": {}},
    }
    (folder / "run.json").write_text(json.dumps(record, indent=2))
    rows = [
        f"{16 * point},{point},{point}.5,{key},{top1 * point / POINTS!r}\n"
        for point in range(1, POINTS + 1)
        for key in KEYS
    ]
    (folder / "metrics.csv").write_text("step,epoch,time_s,key,value\n" + "".join(rows))

"""Comparisons such as `compare` makes, of runs that were made up here."""

import json
import random
import shutil

import pytest

from cnnlab.tracking.compare import compare
from cnnlab.tracking.reading import History

ARMS = {"g1": 1, "g2": 2, "g4": 4, "g8": 8, "g32": 32}
WIDTHS = {1: 64, 2: 40, 4: 24, 8: 14, 32: 4}
GAIN = {1: 0.0, 2: 0.009, 4: 0.0125, 8: 0.015, 32: 0.013}
EPOCHS = 20


@pytest.fixture
def a_run(made_run):
    """`a_run(groups=4, seed=1)`: with curves of val/top1 and of both losses, and with costs."""

    def make(groups=1, seed=0, top1=None, keys=None, costs=True, **fields):
        noise = random.Random(f"{groups} {seed}")
        shared = random.Random(seed).gauss(0, 0.006)  # seeds are paired: they share what is hard
        gain = GAIN.get(groups, 0.0004 * groups)
        last = 0.905 + gain + shared + noise.gauss(0, 0.004) if top1 is None else top1
        steps = [98 * (epoch + 1) for epoch in range(EPOCHS)]
        rise = [
            last - 0.5 * 0.75**e + noise.gauss(0, 0.004) * (e < EPOCHS - 1) for e in range(EPOCHS)
        ]
        fall = [0.25 + 1.9 * 0.78**e + noise.gauss(0, 0.02) for e in range(EPOCHS)]
        history = {
            "val/top1": History(steps, list(range(EPOCHS)), [0.0] * EPOCHS, rise),
            "train/loss": History(steps, list(range(EPOCHS)), [0.0] * EPOCHS, fall),
        }
        price = {
            "cost/params_m": 1.0 + 0.004 * (groups % 5),
            "cost/gmacs": 0.141 + 0.002 * groups % 0.05,
            "cost/activations_m": 1.1 + 0.03 * groups,
            "cost/latency_ms": 8.0 + 0.9 * groups**0.5,
        }
        return made_run(
            {
                "model.groups": groups,
                "model.width_per_group": WIDTHS.get(groups, 8),
                **(keys or {}),
            },
            seed=seed,
            top1=last,
            cost=price if costs else {},
            history=history,
            time={
                "started": "2026-03-04T05:06:07+00:00",
                "ended": "2026-03-04T05:16:07+00:00",
                "total_s": 160.0,
            },
            **fields,
        )

    return make


@pytest.fixture
def study(a_run, tmp_path):
    """`study(seeds=5)`: the arms of `ARMS` under an ablation file with three contrasts."""

    def make(seeds=5, **changes):
        shutil.rmtree(tmp_path / "runs", ignore_errors=True)
        folder = tmp_path / "runs" / "resnext_groups"
        folder.mkdir(parents=True)
        ablation = {
            "name": "resnext_groups",
            "claim": "At equal parameters, more groups in the bottleneck lower the error.",
            "source": "Xie et al. 2017, Table 3",
            "scale": "small",
            "arms": {arm: [f"model.groups={g}"] for arm, g in ARMS.items()},
            "baseline": "g1",
            "metric": "test/top1",
            "seeds": list(range(seeds)),
            "contrasts": [
                contrast("8 groups beat one", {"g8": 1.0, "g1": -1.0}),
                contrast("32 groups beat 8", {"g32": 1.0, "g8": -1.0}),
                contrast("one group is best", {"g1": 1.0, "g4": -1.0}),
            ],
            "hold": {"cost": "params", "solve": "model.width_per_group", "tolerance": 0.05},
            "published": {
                "table": "T01_resnext_groups",
                "rows": {
                    "g1": "ResNet-50|groups=1 group_width=64",
                    "g4": "ResNeXt-50|groups=4 group_width=24",
                    "g8": "ResNeXt-50|groups=8 group_width=14",
                    "g32": "ResNeXt-50|groups=32 group_width=4",
                },
            },
            "tune": None,
            "scales": {},
        }
        (folder / "ablation.json").write_text(json.dumps(ablation | changes))
        runs = [
            a_run(g, seed, arm=arm, study="resnext_groups")
            for arm, g in ARMS.items()
            for seed in range(seeds)
        ]
        return compare(runs, metric=None, cost="gmacs", by=None, baseline=None)

    make.contrast = contrast
    return make


def contrast(name, weights, expect="positive", rank=False):
    return {"name": name, "weights": weights, "expect": expect, "rank": rank}

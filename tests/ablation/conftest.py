"""An ablation that is small enough to be planned again and again."""

import copy
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ablation.studies import Study

NODE = {
    "claim": "More groups are better.",
    "source": "a test",
    "arms": {"one": ["model.groups=1"], "two": ["model.groups=2"], "four": ["model.groups=4"]},
    "baseline": "one",
    "metric": "test/top1",
    "seeds": [1, 2],
    "contrasts": [{"name": "four against one", "arms": ["four", "one"], "expect": "positive"}],
    "hold": {"cost": "params", "solve": "model.width_per_group", "tolerance": 0.1},
    "scales": {
        "small": [
            *("model=resnext_cifar", "model.depth=11", "model.width=16"),
            *("model.width_per_group=8", "logger=none", "trainer.max_epochs=2"),
        ],
        "paper": {
            "words": ["model=resnext_cifar"],
            "arms": {"a": ["model.groups=8"], "b": ["model.groups=16"]},
            "baseline": "b",
            "contrasts": [{"name": "a - b", "arms": ["a", "b"], "expect": "negative"}],
            "hold": None,
        },
    },
}
"""The node `ablation`."""


@pytest.fixture
def node() -> dict[str, Any]:
    """A copy of `NODE`."""
    return copy.deepcopy(NODE)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., list[str]]:
    """`write(arms={...})`: the words for an ablation `mine` with these parts of `NODE` replaced.

    A part that is given as `...` is left out; `beside` stands in the file beside the node.
    """

    def write_(beside: dict | None = None, **parts: object) -> list[str]:
        node = {key: value for key, value in (NODE | parts).items() if value is not ...}
        file = {
            "defaults": [{"override /hydra/sweeper": "cnnlab"}],
            "hydra": {"mode": "MULTIRUN"},
            "ablation": node,
        }
        path = tmp_path / "conf" / "ablation" / "mine.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            "# @package _global_\n" + yaml.safe_dump(file | (beside or {}), sort_keys=False)
        )
        return [f"--config-dir={tmp_path / 'conf'}", "ablation=mine", f"runs={tmp_path / 'runs'}"]

    return write_


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path / "runs" / "study")


@pytest.fixture
def wait_for() -> Callable[[Callable[[], object]], None]:
    """Until something is true; an error after a minute."""

    def wait(happened: Callable[[], object]) -> None:
        deadline = time.monotonic() + 60
        while not happened():
            assert time.monotonic() < deadline, "it did not happen in a minute"
            time.sleep(0.02)

    return wait

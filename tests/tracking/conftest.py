"""A config as small as the record allows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cnnlab.tracking.record import RunRecord

CHOICES = {"model": "tiny", "data": "toy", "head": None}


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    return {
        "runs": str(tmp_path / "runs"),
        "resume": None,
        "seed": 3,
        "name": None,
        "tags": {},
        "model": {"name": "tiny", "weights": None},
        "optimizer": {"lr": 0.1},
        "trainer": {"threads": 1},
    }


@pytest.fixture
def open_record(config: dict[str, Any]) -> Callable[..., RunRecord]:
    """`open_record(optimizer={...})`: the record of a run under `config` with those nodes."""

    def open_(overrides: tuple[str, ...] = (), **nodes: Any) -> RunRecord:
        return RunRecord.open(config | nodes, CHOICES, list(overrides))

    return open_

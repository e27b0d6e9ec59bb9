"""Folders that plain `wandb` wrote, in a process of its own, off line."""

import json
import math
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from wandb.proto.wandb_internal_pb2 import Record

from cnnlab.errors import UserError
from cnnlab.tracking.reading import RunData
from cnnlab.tracking.wandb_log import read_log
from cnnlab.tracking.wandb_offline import read_part
from cnnlab.tracking.wandb_parts import run_data
from tests.tracking.wandb_files import write_log

SCRIPT = Path(__file__).with_name("wandb_script.py")


def strange_environment(home: Path) -> dict[str, str]:
    """No account, no settings, no network."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    return kept | {
        "HOME": str(home),
        "NETRC": str(home / "netrc"),
        "WANDB_ERROR_REPORTING": "false",
    }


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> dict[str, Path]:
    """W&B's files by folder name."""
    home = tmp_path_factory.mktemp("plain")
    runs = {
        "whole": ("whole", "0", "w1"),
        "failed": ("failed", "0", "f1"),
        "first": ("axis", "0", "r1"),
        "second": ("axis", "5", "r1"),
        "long": ("plain", "6", "p1"),
        "short": ("plain", "4", "p1"),
        "killed": ("killed", "0", "k1"),
    }
    words = []
    for folder, (kind, number, run_id) in runs.items():
        (home / folder).mkdir()
        words += [kind, number, home / folder, run_id]
    done = subprocess.run(
        [sys.executable, SCRIPT, *words],
        env=strange_environment(home),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    files = {file.parts[-4]: file for file in home.glob("*/wandb/offline-run-*/run-*.wandb")}
    assert files.keys() == runs.keys()
    return files


def read(*files: Path) -> RunData:
    return run_data([read_part(file, refuse) for file in files], refuse)


def refuse(text: str) -> None:
    raise AssertionError(f"nothing was to be said, but: {text}")


def test_a_run_of_plain_wandb_comes_back(written):
    run = read(written["whole"])
    assert (run.status, run.reason, run.name, run.wandb_id) == ("finished", None, "wide", "w1")
    assert run.config == {
        "seed": 7,
        "lr": 0.2,
        "model": {"width": 64, "stages": [3, 4, 6]},
        "none": None,
        "batch_size": 32,
    }
    assert (run.seed, run.identity, run.cost, run.choices) == (7, "", {}, {})
    assert run.wandb == {
        "project": "plain",
        "group": "widths",
        "job_type": "train",
        "tags": ["a", "b"],
        "notes": "does it help?",
        "exit_code": 0,
    }
    loss = run.history["train/loss"]
    assert loss.steps == list(range(40))
    assert loss.values == [1 / (step + 1) for step in range(40)]
    assert loss.epochs == [step // 10 for step in range(40)]
    assert loss.times_s == sorted(loss.times_s)
    assert run.history["deep.er.still"].values == list(range(40))
    assert run.history["val/acc"].steps == [9, 19, 29, 39]
    assert math.isnan(run.history["nan"].values[0])
    assert run.history["inf"].values == [math.inf]
    # No numbers: truth values, texts, lists; and what a histogram or a table consists of.
    assert set(run.history) == {"train/loss", "deep.er.still", "val/acc", "nan", "inf"}
    assert run.metrics == {
        "train/loss": 1 / 40,
        "deep.er.still": 39,
        "val/acc": 39 / 40,
        "nan": None,
        "inf": None,
        "best": 0.975,
        "nested.top": 1,
    }
    assert run.time["started"] < run.time["ended"] or run.time["total_s"] < 1
    assert run.folder == written["whole"].parent


def test_the_same_as_wandbs_own_inspection(written, tmp_path):
    """`wandb leet inspect` reads the file with W&B's own code, in Go."""
    done = subprocess.run(
        [sys.executable, "-m", "wandb", "leet", "inspect", "--summary", "--json", written["whole"]],
        env=strange_environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
    )
    theirs, ours = json.loads(done.stdout), read(written["whole"])
    assert theirs["config"] == ours.config
    assert (theirs["state"], theirs["name"], theirs["run_id"]) == ("finished", "wide", "w1")
    assert theirs["start_time"].startswith(ours.time["started"].removesuffix("+00:00"))
    summary = dict(dotted(theirs["summary"]))
    assert ours.time["total_s"] == pytest.approx(summary.pop("_runtime"), abs=1)
    for key in ("_step", "_timestamp", "epoch"):
        summary.pop(key)
    assert summary == {key: value for key, value in ours.metrics.items() if value is not None}


def dotted(node: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for key, value in node.items():
        if isinstance(value, dict) and "_type" not in value:
            yield from dotted(value, f"{prefix}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield prefix + key, value


def test_failed(written):
    run = read(written["failed"])
    assert (run.status, run.reason) == ("failed", "W&B: exit code 3")


def test_a_killed_run_keeps_what_reached_the_disk(written):
    """Beside a reader that is independent: protobuf's own classes on the records."""
    run = read(written["killed"])
    assert run.status == "running"
    records = []
    for data in read_log(written["killed"]).records:
        records.append(Record())
        records[-1].ParseFromString(data)
    rows = [r.history for r in records if r.WhichOneof("record_type") == "history"]
    assert len(rows) > 100
    assert run.history["val/acc"].values == list(range(len(rows)))
    assert run.history["train/loss"].steps == [row.step.num for row in rows]
    assert run.time["ended"] is None
    assert run.wandb["group"] == "widths"


def test_two_sessions_are_one_run(written):
    """Steps 0 to 9, then again from 5 on: W&B off line counts its own steps from 0 both times."""
    run = read(written["second"], written["first"])  # the time decides, not the order given
    loss = run.history["train/loss"]
    assert loss.steps == list(range(15))
    assert loss.values == [0, 1, 2, 3, 4, *range(10, 20)]
    assert "my/step" not in run.metrics
    assert len(run.time["sessions"]) == 2
    assert loss.times_s == sorted(loss.times_s)
    assert run.metrics["train/loss"] == 19


def test_sessions_without_an_axis_of_their_own_are_said(written):
    said: list[str] = []
    parts = [read_part(written[name], refuse) for name in ("long", "short")]
    run = run_data(parts, said.append)
    assert run.history["train/loss"].values == [0, 1, 2, 3]
    assert len(said) == 1
    assert "part 2 of W&B run p1 counts its steps from 0 again; 6 values" in said[0]


def test_the_form_of_a_newer_wandb(tmp_path):
    """wandb 0.31 knows typed values (sdk/interface/history_value.py), but does not write them."""
    run, row, later = Record(), Record(), Record()
    run.run.run_id = "n1"
    row.history.step.num = 3
    for key, kind, value in [
        ("float", "number", 0.25),
        ("int", "integer", -7),
        ("bool", "boolean", True),
        ("text", "text", "x"),
        ("json", "json", "2.5"),
        ("none", "none", 0),
    ]:
        item = row.history.item.add()
        item.nested_key.append(key)
        setattr(item, kind, value)
    later.history.step.num = 4
    later.history.item.add().key = "float"  # a value in a form that nobody knows yet
    file = write_log(
        tmp_path / "run-n1.wandb",
        *(record.SerializeToString() for record in (run, row, later)),
        b"\xfa\x3f\x03abc",  # a record of kind 1023
    )
    said: list[str] = []
    data = run_data([read_part(file, said.append)], refuse)
    assert {k: h.values for k, h in data.history.items()} == {
        "float": [0.25],
        "int": [-7],
        "json": [2.5],
    }
    assert data.history["int"].steps == [3]
    assert said == [f"{file}: 1 records cannot be read and are left out"]


def test_a_summary_overrides_and_forgets(tmp_path):
    run, row, change = Record(), Record(), Record()
    run.run.run_id = "s1"
    for key in ("a", "b"):
        item = row.history.item.add()
        item.key, item.value_json = key, "1"
    update = change.summary.update.add()
    update.nested_key.extend(["a", "max"])
    update.value_json = "5"
    change.summary.remove.add().key = "b"
    file = write_log(
        tmp_path / "run-s1.wandb", *(r.SerializeToString() for r in (run, row, change))
    )
    data = run_data([read_part(file, refuse)], refuse)
    assert data.metrics == {"a": 1, "a.max": 5, "b": 1}  # still the last value logged


def test_nothing_of_a_run(tmp_path):
    with pytest.raises(UserError, match=r"run-a\.wandb: nothing of a run in it"):
        read_part(write_log(tmp_path / "run-a.wandb"), refuse)
    with pytest.raises(UserError, match="nothing of a run in it"):
        read_part(write_log(tmp_path / "run-a.wandb", struct.pack("<d", 1e300)), refuse)


def test_no_damage_ends_in_a_traceback(written, tmp_path):
    """Bytes changed within records, their checksums right: what another schema would look like."""
    records = read_log(written["first"]).records
    random = Random(0)
    read_back = 0
    for _ in range(300):
        changed = [bytearray(record) for record in records]
        for record in changed:
            if record and random.random() < 0.3:
                record[random.randrange(len(record))] = random.randrange(256)
        file = write_log(tmp_path / "run-r1.wandb", *map(bytes, changed))
        try:
            run_data([read_part(file, lambda text: None)], lambda text: None)
            read_back += 1
        except UserError:
            pass
    assert read_back > 100


def test_a_time_that_is_none(tmp_path):
    run = Record()
    run.run.run_id, run.run.start_time.seconds = "t1", 2**60
    file = write_log(tmp_path / "run-t1.wandb", run.SerializeToString())
    assert run_data([read_part(file, refuse)], refuse).time["started"] is None

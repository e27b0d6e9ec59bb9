import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from cnnlab.atomic import replacing, sweep, write_bytes, write_json
from cnnlab.errors import UserError
from cnnlab.tracking.checkpoint_io import AtomicCheckpointIO
from cnnlab.tracking.weights import save_weights

WRITE_FOREVER = """
import sys
from pathlib import Path
from cnnlab.atomic import write_bytes
target, turn = Path(sys.argv[1]), 0
print("ready", flush=True)
while True:
    turn = (turn + 1) % 256
    write_bytes(target, bytes([turn]) * 4_000_000)
"""


def test_an_error_while_writing_keeps_the_old_file_and_leaves_no_other(tmp_path: Path):
    target = tmp_path / "file"
    write_bytes(target, b"old")
    with pytest.raises(ZeroDivisionError), replacing(target, 3) as part:  # noqa: PT012  (what is raised within is the question)
        part.write_bytes(b"new")
        _ = 1 / 0
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_is_no_file(tmp_path: Path):
    (tmp_path / "report").mkdir()
    with pytest.raises(UserError, match=r"report: is a folder; name a file"):
        write_bytes(tmp_path / "report", b"x")


def test_json_is_strict(tmp_path: Path):
    write_json(tmp_path / "x" / "a.json", {"a": [float("nan"), 1.5, (float("inf"),)], 2: None})
    text = (tmp_path / "x" / "a.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail) == {"a": [None, 1.5, [None]], "2": None}


def test_killed_writers_leave_whole_files_and_parts_that_are_swept(tmp_path: Path):
    target = tmp_path / "file"
    seen = set()
    for delay in (0.0, 0.003, 0.011, 0.02):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITE_FOREVER, target], stdout=subprocess.PIPE
        )
        assert writer.stdout is not None
        writer.stdout.readline()
        while not target.exists():
            time.sleep(0.001)
        time.sleep(delay)
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        data = target.read_bytes()
        assert len(data) == 4_000_000
        assert len(set(data)) == 1
        seen.add(data[0])
    foreign = tmp_path / ".theirs.part"
    foreign.touch()
    (tmp_path / ".file.123.part").touch()
    sweep(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([target, foreign])


@pytest.fixture
def small_disk():
    """No file may grow beyond 200 kB, which fails as a full disk does."""
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, ignored)


def bytes_(target: Path, size: int) -> None:
    write_bytes(target, bytes(size))


def checkpoint(target: Path, size: int) -> None:
    AtomicCheckpointIO().save_checkpoint({"w": torch.zeros(size // 4)}, target)


def weights(target: Path, size: int) -> None:
    save_weights(torch.nn.Linear(size // 4, 1, bias=False), target.parent, {})


@pytest.mark.parametrize(
    ("write", "name"),
    [(bytes_, "f.bin"), (checkpoint, "f.ckpt"), (weights, "weights.safetensors")],
)
def test_a_full_disk_keeps_the_old_file_and_says_what_is_missing(tmp_path, small_disk, write, name):
    target = tmp_path / name
    write(target, 1000)
    old = target.read_bytes()
    with pytest.raises(UserError, match=rf"{name}: .* full: 0.4 MB needed, .* free; the old file"):
        write(target, 400_000)
    assert target.read_bytes() == old
    assert list(tmp_path.iterdir()) == [target]

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cnnlab.errors import UserError
from cnnlab.tracking.folder import create, global_rank, lock

CREATE = """
import sys
import threading
from pathlib import Path
from cnnlab.tracking.folder import create
sys.stdin.readline()
for _ in range(5):
    print(create(Path(sys.argv[1]), int(sys.argv[2])).name)
"""


def test_numbers_go_on_after_the_highest(tmp_path: Path):
    assert create(tmp_path / "a", 7).name == "001-s7"
    (tmp_path / "a" / "041-s0").mkdir()
    (tmp_path / "a" / "notes").mkdir()
    assert create(tmp_path / "a", 7).name == "042-s7"


def test_processes_at_once_get_different_numbers(tmp_path: Path):
    started = [
        subprocess.Popen(
            [sys.executable, "-c", CREATE, tmp_path / "runs", str(seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in (0, 0, 1)
    ]
    for process in started:
        process.stdin.write("go\n")
        process.stdin.flush()
    names = [name for process in started for name in process.communicate()[0].split()]
    assert len(names) == 15
    assert sorted(name[:3] for name in names) == [f"{i:03}" for i in range(1, 16)]
    assert sorted(names) == sorted(p.name for p in (tmp_path / "runs").iterdir())


def test_one_writer_at_a_time(tmp_path: Path):
    (tmp_path / ".metrics.csv.99.part").touch()
    handle = lock(tmp_path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError, match="another process"):
        lock(tmp_path, patience_s=0.2)
    threading.Timer(0.3, os.close, [handle]).start()
    os.close(lock(tmp_path))


@pytest.mark.parametrize(
    ("environ", "first"),
    [
        ({}, True),
        ({"RANK": "0", "LOCAL_RANK": "0"}, True),
        ({"RANK": "4", "LOCAL_RANK": "0"}, False),
        ({"LOCAL_RANK": "0", "NODE_RANK": "1"}, False),
        ({"LOCAL_RANK": "1"}, False),
        ({"SLURM_PROCID": "2"}, False),
    ],
)
def test_the_first_process(monkeypatch, environ, first):
    for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert (global_rank() == 0) == first

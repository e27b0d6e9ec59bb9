import os
import socket
import subprocess
from pathlib import Path

import torch

from cnnlab.ablation.local_pool import AT_ONCE
from cnnlab.tracking import environment as module
from cnnlab.tracking.environment import environment, git, machine


def test_environment_names_versions_but_no_machine():
    found = environment(threads=2)
    assert found["packages"]["torch"] == torch.__version__.split("+")[0]
    assert found["threads"] == 2
    assert found["gpus"] == [
        torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())
    ]
    assert socket.gethostname() not in str({k: v for k, v in found.items() if k != "cpu"}).split()
    assert str(Path.home()) not in str(found)
    assert machine()["host"] == socket.gethostname()


def run_git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    done = subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)
    return done.stdout.decode().strip()


def test_git_commit_branch_dirt_and_remote(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(module, "__file__", str(tmp_path / "environment.py"))
    run_git(tmp_path, "init", "-b", "topic")
    assert git()["commit"] is None
    (tmp_path / "a").write_text("1")
    run_git(tmp_path, "add", "a")
    run_git(tmp_path, "commit", "-m", "a")
    commit = run_git(tmp_path, "rev-parse", "HEAD")
    known = {"commit": commit, "branch": "topic"}
    assert git() == known | {"dirty": False, "diff": None, "remote": None}
    (tmp_path / "b").write_text("not tracked")
    assert git() == known | {"dirty": True, "diff": None, "remote": None}
    run_git(tmp_path, "remote", "add", "origin", "https://x.y/z")
    (tmp_path / "a").write_text("2")
    found = git()
    assert found == known | {"dirty": True, "diff": found["diff"], "remote": "https://x.y/z"}


def test_one_state_of_uncommitted_edits_is_told_from_another(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(module, "__file__", str(tmp_path / "environment.py"))
    run_git(tmp_path, "init", "-b", "topic")
    (tmp_path / "a").write_text("1")
    run_git(tmp_path, "add", "a")
    run_git(tmp_path, "commit", "-m", "a")
    found = []
    for content in (b"2", b"3", b"2", b"\xff", b"\xfe", b"1"):  # some are no UTF-8
        (tmp_path / "a").write_bytes(content)
        found.append(git()["diff"])
    assert found[2] == found[0]
    assert found[5] is None
    assert len(set(found)) == 5
    (tmp_path / "tests").mkdir()
    for name in ("README.md", "tests/test_a.py"):
        (tmp_path / name).write_text("1")
        run_git(tmp_path, "add", name)
    assert git()["diff"] is None  # no run imports them
    (tmp_path / "a").write_bytes(b"2")
    run_git(tmp_path, "add", "a")  # staged or not is the same code
    run_git(tmp_path, "config", "diff.noprefix", "true")
    run_git(tmp_path, "config", "color.ui", "always")
    assert git()["diff"] == found[0]


def test_no_git_is_no_error(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(module, "__file__", str(tmp_path / "environment.py"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git() is None
    monkeypatch.setenv("PATH", os.devnull)
    assert git() is None


def test_how_many_jobs_share_the_machine(monkeypatch):
    monkeypatch.delenv(AT_ONCE, raising=False)
    assert environment(threads=1)["jobs"] == 1
    monkeypatch.setenv(AT_ONCE, "4")  # as the launcher tells its jobs
    assert environment(threads=1)["jobs"] == 4

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
    assert git() == {"commit": commit, "branch": "topic", "dirty": False, "remote": None}
    (tmp_path / "a").write_text("2")
    run_git(tmp_path, "remote", "add", "origin", "https://x.y/z")
    assert git() == {"commit": commit, "branch": "topic", "dirty": True, "remote": "https://x.y/z"}


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

"""On what a run ran: versions, processor, devices, the code's commit."""

import getpass
import hashlib
import os
import platform
import re
import socket
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = (
    *("cnnlab", "torch", "torchvision", "timm", "lightning", "torchmetrics", "hydra-core"),
    *("omegaconf", "segmentation-models-pytorch", "numpy", "pillow", "wandb"),
)
_NO_CODE = ("*.md", "docs", "tests", "notebooks", "bench")
"""Of the repository what no run imports."""
JOBS = "CNNLAB_JOBS"
"""The variable by which a multirun tells a job how many share its machine."""
_CPU_FLAGS = {
    *("avx2", "f16c", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8"),
    *("asimd", "sve", "bf16"),
}
"""Vector units that decide speed and rounding."""


def environment(threads: int | None) -> dict[str, Any]:
    """Versions, processor and devices; nothing that names the machine.

    Args:
        threads: CPU threads that the run uses.
    """
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    model, flags = _cpu()
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        "cpu": model,
        "cpu_flags": flags,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "threads": threads,
        "jobs": int(os.environ.get(JOBS, "1")),
        "gpus": gpus,
        "cuda": torch.version.cuda if gpus else None,
        "cudnn": torch.backends.cudnn.version() if gpus else None,
        "world_size": 1,  # until the trainer knows better
    }


def machine() -> dict[str, Any]:
    """What names the machine and its owner: leave this key out when a record is shared."""
    return {
        "host": socket.gethostname(),
        "user": user(),
        "folder": str(Path.cwd()),
        "python": sys.executable,
        "command": list(sys.argv),
    }


def user() -> str:
    """Who runs this; "" where the system does not know."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without an entry for its user id
        return ""


def git() -> dict[str, Any] | None:
    """The code's commit, branch, whether files differ from it, and the remote; None outside git.

    The repository is the one that holds this package, else the working folder's. `diff` tells one
    state of uncommitted edits of tracked files from another (a hash); None: there are none.
    """
    for folder in (Path(__file__).parent, Path.cwd()):
        status = _git(folder, "status", "--porcelain=v2", "--branch")
        if status is None:
            continue
        heads = dict(re.findall(r"^# branch\.(\w+) (.*)$", status, re.MULTILINE))
        commit = heads.get("oid")
        if commit == "(initial)":
            commit = None
        return {
            "commit": commit,
            "branch": heads.get("head"),
            "dirty": any(not line.startswith("#") for line in status.splitlines()),
            "diff": _diff(folder) if re.search(r"^[12u] ", status, re.MULTILINE) else None,
            "remote": (_git(folder, "config", "--get", "remote.origin.url") or "").strip() or None,
        }
    return None


def _diff(folder: Path) -> str | None:
    """Sixteen hex digits, by the names and contents of the files that differ."""
    words = ("--full-index", "--no-color", "--no-ext-diff", "--no-prefix", "--no-renames")
    apart = [f":(top,exclude){path}" for path in _NO_CODE]
    text = _git(folder, "diff", "HEAD", *words, "--", ":(top)", *apart)
    # The headers hold the hashes of both contents; how changes are shown is everybody's own.
    headers = "\n".join(re.findall(r"^[a-z].*$", text or "", re.MULTILINE))
    return hashlib.sha256(headers.encode()).hexdigest()[:16] if headers else None


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True,
            text=True,
            errors="replace",  # a diff holds any bytes
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cpu() -> tuple[str | None, list[str]]:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or None, []
    model = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*: (.*)$", text, re.MULTILINE)
    found = set(flags[1].split()) if flags else set()
    return (model[1] if model else platform.machine()), sorted(found & _CPU_FLAGS)

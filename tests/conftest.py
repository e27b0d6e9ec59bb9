"""Fixtures that several tests share."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def real_data(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`real_data("camvid")`: the folder of a real data set, unpacked once, beside the checkout.

    The packed sets are looked for in CNNLAB_TEST_DATA, else in ../shared/data; where a set is
    absent the test skips and says which.
    """
    packed = Path(os.environ.get("CNNLAB_TEST_DATA", ROOT.parent / "shared" / "data"))
    cache = ROOT.parent / "cache" / "data"

    def find(name: str) -> Path:
        folder = cache / name
        if folder.is_dir():
            return folder
        has_tar = (packed / f"{name}.tar").is_file()
        # Fashion-MNIST has no tar: unpack.py makes it from a Debian package.
        if not has_tar and not (name == "fashion_mnist" and (packed / "unpack.py").is_file()):
            pytest.skip(f"real data set '{name}' is not in {packed}")
        target = tmp_path_factory.mktemp("data")
        done = subprocess.run(
            [sys.executable, packed / "unpack.py", name, "--dest", target],
            capture_output=True,
            text=True,
        )
        if done.returncode and not has_tar:
            pytest.skip(f"real data set '{name}' cannot be had here: {done.stderr[-200:]}")
        assert done.returncode == 0, done.stderr
        return keep(target / name, folder)

    def keep(made: Path, folder: Path) -> Path:
        """Into the cache, whole or not at all: the processes of xdist share it."""
        part = folder.with_name(f".{folder.name}.{os.getpid()}")
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(made, part)
            part.rename(folder)
        except OSError:
            return folder if folder.is_dir() else made
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return folder

    return find

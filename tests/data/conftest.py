"""What tests of data sets share: the keys of conf/data/_base.yaml and of a recipe, all quiet."""

import gc
import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from cnnlab.data.augment import Augment


@pytest.fixture
def no_augment() -> dict[str, Any]:
    return {
        "padding": 0,
        "scale": [0.35, 1.0],
        "ratio": [0.75, 1.3333],
        "scale_jitter": (1.0, 1.0),
        "class_crops": 0.0,
        "mosaic": 0.0,
        "flip": False,
        "vertical_flip": False,
        "color_jitter": 0.0,
        "policy": None,
        "magnitude": 9,
        "mixup": 0.0,
        "cutmix": 0.0,
        "erasing": 0.0,
    }


@pytest.fixture
def data_keys(no_augment: dict[str, Any]) -> dict[str, Any]:
    return {
        "seed": 0,
        "split_seed": 0,
        "val_fraction": 0.1,
        "fraction": 1.0,
        "sampler": "shuffle",
        "batch_size": 64,
        "eval_batch_size": 100,
        "workers": 0,
        "image_size": None,
        "mean": None,
        "std": None,
        "augment": Augment(**no_augment),
    }


@pytest.fixture
def conf_data() -> Callable[[str], dict[str, Any]]:
    """`conf_data("cifar10")`: the data node of that file in conf/data."""
    folder = Path(__file__).parents[2] / "conf" / "data"
    return lambda name: yaml.safe_load((folder / f"{name}.yaml").read_text())["data"]


@pytest.fixture
def file_keys(data_keys: dict[str, Any]) -> dict[str, Any]:
    """The keys of conf/data/_files.yaml besides, for small pictures."""
    return data_keys | {
        "batch_size": 4,
        "eval_batch_size": 4,
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
        "image_size": 16,
        "crop_pct": 1.0,
        "interpolation": "bilinear",
        "bad_files": "error",
    }


@pytest.fixture
def tree(tmp_path: Path) -> Callable[..., Path]:
    """`tree("train/a/1.jpg", ...)`: a folder with a picture of its own colour at each path.

    The red of a picture is 10 times the number of its path in the call, so its pixels tell which
    file they came from.
    """

    def make(*paths: str) -> Path:
        for number, path in enumerate(paths):
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (24, 20), (10 * number, 90, 30)).save(file)
        return tmp_path

    return make


@pytest.fixture
def mask_keys(data_keys: dict[str, Any]) -> dict[str, Any]:
    """The keys of conf/data/_masks.yaml besides, for small pictures."""
    return data_keys | {
        "batch_size": 4,
        "eval_batch_size": 2,
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
        "image_size": [16, 20],
        "eval_side": None,
        "bad_files": "error",
        "values": {0: "sky", 1: "road", 7: "car", 255: "ignore"},
    }


@pytest.fixture
def mask_tree(tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    """`mask_tree({"images/a.jpg": None, "masks/a.png": [0, 7]})`: pictures, masks and lists.

    A picture (None) is 24 x 20 and has a colour of its own: its red is 10 times the number of its
    path in the call. A mask has the given values as stripes from left to right; text is written as
    it is.
    """

    def make(files: dict[str, Any]) -> Path:
        for number, (path, content) in enumerate(files.items()):
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                Image.new("RGB", (24, 20), (10 * number % 256, 90, 30)).save(file)
            elif isinstance(content, str):
                file.write_text(content)
            else:
                stripes = np.repeat(np.array(content, np.uint8), -(-24 // len(content)))[:24]
                Image.fromarray(np.tile(stripes, (20, 1))).save(file)
        return tmp_path

    return make


@pytest.fixture
def box_keys(data_keys: dict[str, Any]) -> dict[str, Any]:
    """The keys of conf/data/_boxes.yaml besides, for small pictures."""
    return data_keys | {
        "batch_size": 4,
        "eval_batch_size": 2,
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
        "image_size": [20, 24],
        "classes": None,
        "test_fraction": 0.0,
        "bad_boxes": "error",
        "bad_files": "error",
    }


@pytest.fixture
def box_tree(tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    """`box_tree({"images/a.jpg": None, "a.json": {...}})`: pictures, text and json.

    A picture (None) is 24 x 20; a size `(width, height)` makes one of that size.
    """

    def make(files: dict[str, Any]) -> Path:
        for path, content in files.items():
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            if content is None or isinstance(content, tuple):
                Image.new("RGB", content or (24, 20), (40, 90, 30)).save(file)
            else:
                file.write_text(content if isinstance(content, str) else json.dumps(content))
        return tmp_path

    return make


def _private_mb() -> float:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private")) / 1024


@pytest.fixture
def growth_mb() -> Callable[..., float]:
    """`growth_mb(read, first)`: by how much a forked worker's own memory grows in `read()`.

    Pages that it shares with its parent are its own from the first byte written to them. So are
    those of small pieces that the parent has freed, which whatever is done fills again: `first()`
    is to do as much as `read()`, of fewer data.
    """
    if not Path("/proc/self/smaps_rollup").exists():
        pytest.skip("needs Linux' accounts")

    def grown(read: Callable[[], object], first: Callable[[], object] = lambda: None) -> float:
        context = multiprocessing.get_context("fork")
        answer = context.Queue()

        def worker() -> None:
            gc.disable()  # it would write to every object there is
            first()
            before = _private_mb()
            read()
            answer.put(_private_mb() - before)

        process = context.Process(target=worker)
        process.start()
        found: float = answer.get(timeout=60)
        process.join()
        return found

    return grown

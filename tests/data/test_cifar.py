import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision import datasets

from cnnlab.data.cifar import Cifar, Cifar10, Cifar100, read_pickle
from cnnlab.data.in_memory import MemorySource
from cnnlab.errors import UserError

RealData = Callable[[str], Path]


def pixels(size: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size, 3072), np.uint8)


def write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol=2))


@pytest.fixture
def small_sets(tmp_path: Path) -> Path:
    """Both sets, 20 images a file, in torchvision's layout."""
    ten, hundred = tmp_path / Cifar10.folder, tmp_path / Cifar100.folder
    for seed, name in enumerate((*Cifar10.train_files, Cifar10.test_file)):
        write(ten / name, {"data": pixels(20, seed), "labels": [k % 10 for k in range(20)]})
    write(ten / Cifar10.meta_file, {"label_names": [f"class {k}" for k in range(10)]})
    for seed, name in enumerate(("train", "test")):
        coarse, fine = [0] * 200, [k % 100 for k in range(200)]
        content = {"data": pixels(200, seed), "coarse_labels": coarse, "fine_labels": fine}
        write(hundred / name, content)
    write(hundred / "meta", {"fine_label_names": [f"class {k}" for k in range(100)]})
    return tmp_path


def in_memory(data: Cifar) -> tuple[MemorySource, MemorySource, MemorySource]:
    data.setup()
    assert data.splits is not None
    train, val, test = data.splits[:3]
    assert isinstance(train, MemorySource)
    assert isinstance(val, MemorySource)
    assert isinstance(test, MemorySource)
    return train, val, test


def test_all_parts_are_read(small_sets: Path, data_keys: dict[str, Any]) -> None:
    data = Cifar10(root=str(small_sets), download=False, **data_keys)
    train, val, test = in_memory(data)
    assert (len(train), len(val), len(test)) == (90, 10, 20)
    assert val.targets.bincount().tolist() == [1] * 10
    assert torch.equal(test.images.flatten(1), torch.from_numpy(pixels(20, 5)))
    assert test.targets.tolist() == [k % 10 for k in range(20)]
    assert data.classes[3] == "class 3"
    everything = torch.cat([train.images, val.images]).flatten(1)
    parts = np.concatenate([pixels(20, seed) for seed in range(5)])
    assert sorted(everything.tolist()) == sorted(parts.tolist())


def test_cifar100_has_its_fine_labels(small_sets: Path, data_keys: dict[str, Any]) -> None:
    data = Cifar100(root=str(small_sets), download=False, **data_keys)
    train, val, test = in_memory(data)
    assert (len(train), len(val), len(test)) == (180, 20, 200)
    assert test.targets.tolist() == [k % 100 for k in range(200)]
    assert data.classes[42] == "class 42"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_are_read_whatever_wrote_them(tmp_path: Path, protocol: int) -> None:
    (tmp_path / "batch").write_bytes(pickle.dumps({"data": pixels(3, 0), "labels": [1]}, protocol))
    content = read_pickle(tmp_path / "batch")
    assert np.array_equal(content["data"], pixels(3, 0))
    assert content["labels"] == [1]


class Evil:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch '{self.marker}'",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_never_runs_code(tmp_path: Path, protocol: int) -> None:
    marker, path = tmp_path / "ran", tmp_path / "batch"
    path.write_bytes(pickle.dumps({"data": pixels(2, 0), "labels": Evil(marker)}, protocol))
    with pytest.raises(UserError, match=r"batch is no CIFAR file: .* is no part of an array"):
        read_pickle(path)
    assert not marker.exists()
    pickle.loads(path.read_bytes())
    assert marker.exists()  # it is a pickle that would have


@pytest.mark.parametrize(
    "content", [b"", b"<html>", pickle.dumps({"data": pixels(9, 0)})[:500], pickle.dumps([1])]
)
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "batch").write_bytes(content)
    with pytest.raises(UserError, match="batch is no CIFAR file"):
        read_pickle(tmp_path / "batch")


@pytest.mark.parametrize(
    "content",
    [
        {"data": pixels(20, 0)[:, :-1], "labels": [0] * 20},
        {"data": pixels(20, 0).astype(np.float32), "labels": [0] * 20},
        {"data": pixels(20, 0), "labels": [0] * 19},
        {"data": pixels(20, 0), "labels": [0] * 19 + [10]},
        {"data": pixels(20, 0), "labels": [0] * 19 + [-1]},
        {"data": pixels(20, 0), "fine_labels": [0] * 20},
        {"data": [1, 2], "labels": [0, 1]},
        {"data": pixels(0, 0), "labels": []},
    ],
)
def test_contents_that_do_not_fit_are_refused(
    small_sets: Path, data_keys: dict[str, Any], content: dict[str, Any]
) -> None:
    write(small_sets / Cifar10.folder / "data_batch_3", content)
    with pytest.raises(UserError, match="data_batch_3 is no CIFAR file"):
        Cifar10(root=str(small_sets), download=False, **data_keys).setup()


@pytest.mark.data
def test_the_real_set_is_torchvisions(
    real_data: RealData, data_keys: dict[str, Any], conf_data: Any
) -> None:
    root = real_data("cifar10")
    data = Cifar10(root=str(root), download=False, **data_keys)
    train, val, test = in_memory(data)
    assert (len(train), len(val), len(test)) == (45_000, 5_000, 10_000)
    theirs = datasets.CIFAR10(str(root), train=False)
    assert torch.equal(test.images, torch.from_numpy(theirs.data).permute(0, 3, 1, 2))
    assert test.targets.tolist() == theirs.targets
    assert data.classes == theirs.classes
    values = train.images.float() / 255
    keys = conf_data("cifar10")
    assert keys["mean"] == pytest.approx(values.mean((0, 2, 3)).tolist(), abs=1e-2)
    assert keys["std"] == pytest.approx(values.std((0, 2, 3)).tolist(), abs=1e-2)

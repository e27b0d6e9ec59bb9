import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision import datasets

from cnnlab.data.fashion_mnist import FOLDER, FashionMnist, read_idx
from cnnlab.data.in_memory import MemorySource
from cnnlab.errors import UserError

RealData = Callable[[str], Path]


def idx(array: np.ndarray) -> bytes:
    return (
        bytes([0, 0, 8, array.ndim])
        + struct.pack(f">{array.ndim}I", *array.shape)
        + array.tobytes()
    )


@pytest.fixture
def small_set(tmp_path: Path) -> Path:
    folder = tmp_path / FOLDER
    folder.mkdir(parents=True)
    for name, size in (("train", 40), ("t10k", 20)):
        pixels = np.random.default_rng(size).integers(0, 256, (size, 28, 28), np.uint8)
        (folder / f"{name}-images-idx3-ubyte").write_bytes(idx(pixels))
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(
            idx(np.arange(size, dtype=np.uint8) % 10)
        )
    return tmp_path


@pytest.mark.parametrize("shape", [(7,), (4, 3), (2, 3, 5)])
def test_idx_round_trip(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    (tmp_path / "a").write_bytes(idx(array))
    assert torch.equal(read_idx(tmp_path / "a"), torch.from_numpy(array))


@pytest.mark.parametrize(
    "content",
    [b"", b"\0\0\x08", idx(np.zeros((3, 4), np.uint8))[:-1], gzip.compress(b"x" * 99)],
    ids=["empty", "head", "cut", "gzip"],
)
def test_another_file_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken").write_bytes(content)
    with pytest.raises(UserError, match="broken is no idx file"):
        read_idx(tmp_path / "broken")


def test_splits(small_set: Path, data_keys: dict[str, Any]) -> None:
    data = FashionMnist(root=str(small_set), download=False, **data_keys | {"val_fraction": 0.25})
    data.setup()
    assert data.summary()["sizes"] == {"train": 30, "val": 10, "test": 20}
    assert (data.channels, data.image_size, len(data.classes)) == (1, (28, 28), 10)


@pytest.mark.parametrize("labels", [np.full(40, 10), np.zeros(39)])
def test_labels_that_do_not_fit_are_refused(
    small_set: Path, data_keys: dict[str, Any], labels: np.ndarray
) -> None:
    (small_set / FOLDER / "train-labels-idx1-ubyte").write_bytes(idx(labels.astype(np.uint8)))
    with pytest.raises(UserError, match=r"train-labels-idx1-ubyte do not fit"):
        FashionMnist(root=str(small_set), download=False, **data_keys).setup()


@pytest.mark.data
def test_the_real_set_is_torchvisions(
    real_data: RealData, data_keys: dict[str, Any], conf_data: Any
) -> None:
    root = real_data("fashion_mnist")
    data = FashionMnist(root=str(root), download=False, **data_keys)
    data.setup()
    assert data.summary()["sizes"] == {"train": 54_000, "val": 6_000, "test": 10_000}
    assert data.splits is not None
    train, test = data.splits.train, data.splits.test
    assert isinstance(train, MemorySource)
    assert isinstance(test, MemorySource)
    theirs = datasets.FashionMNIST(str(root), train=False)
    assert torch.equal(test.images[:, 0], theirs.data)
    assert torch.equal(test.targets, theirs.targets)
    assert data.classes == theirs.classes
    values = train.images.float() / 255
    assert conf_data("fashion_mnist")["mean"] == pytest.approx([float(values.mean())], abs=1e-2)
    assert conf_data("fashion_mnist")["std"] == pytest.approx([float(values.std())], abs=1e-2)

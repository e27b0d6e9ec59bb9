import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cnnlab.data.check_files import check_files
from cnnlab.data.image_files import ImageFiles, Listing
from cnnlab.data.names import Names

TRAIN = ["train/a/0.png", "train/a/1.png", "train/b/2.png"]
VAL = ["val/a/3.png", "val/b/4.png"]


def source(root: Path, names: list[str], targets: list) -> ImageFiles:
    return ImageFiles(root, Listing(Names.of(names), torch.tensor(targets)), "error")


@pytest.fixture
def splits(tree: Callable[..., Path]) -> dict[str, ImageFiles]:
    root = tree(*TRAIN, *VAL)
    return {"train": source(root, TRAIN, [0, 0, 1]), "val": source(root, VAL, [0, 1])}


def test_nothing_wrong(splits: dict[str, ImageFiles]) -> None:
    report = check_files(splits)
    assert report.opened == {"train": (3, 3), "val": (2, 2)}
    assert report.counts == {"train": [2, 1], "val": [1, 1]}
    assert (report.unreadable, report.damaged, report.leaks) == ([], [], [])
    assert report.lines(["cat", "dog"]) == [
        "train: 3 of 3 files opened; 2 of 2 classes, 1 (dog) to 2 (cat) images each",
        "val: 2 of 2 files opened; 2 of 2 classes, 1 (cat) to 1 (dog) images each",
    ]


def test_what_cannot_be_read_is_listed(splits: dict[str, ImageFiles]) -> None:
    root = splits["train"].root
    (root / TRAIN[1]).write_bytes(b"")
    (root / VAL[1]).unlink()
    report = check_files(splits)
    assert report.unreadable == [
        (TRAIN[1], "it is empty (0 bytes)"),
        (VAL[1], "No such file or directory"),
    ]
    assert "2 cannot be read" in report.lines(["a", "b"])


def test_damage_that_decodes_is_listed(tree: Callable[..., Path]) -> None:
    root = tree("a/0.png")
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    Image.fromarray(noise).save(root / "1.jpg", quality=90)
    data = (root / "1.jpg").read_bytes()
    (root / "1.jpg").write_bytes(data[:5000] + bytes(40) + data[5040:])
    report = check_files({"train": source(root, ["1.jpg", "a/0.png"], [0, 0])})
    assert [name for name, _ in report.damaged] == ["1.jpg"]
    assert report.unreadable == []


def test_equal_contents_in_two_splits_are_leaks(splits: dict[str, ImageFiles]) -> None:
    root = splits["train"].root
    shutil.copy(root / TRAIN[0], root / TRAIN[2])  # within a split: no leak
    assert check_files(splits).leaks == []
    shutil.copy(root / TRAIN[0], root / VAL[1])
    report = check_files(splits)
    assert report.leaks == [[TRAIN[0], TRAIN[2], VAL[1]]]
    assert "  train/a/0.png = train/b/2.png = val/b/4.png" in report.lines(["a", "b"])


def test_of_a_large_split_as_many_as_asked_evenly_spaced(tree: Callable[..., Path]) -> None:
    names = [f"{i}.png" for i in range(10)]
    root = tree(*names)
    for i in (0, 2, 4, 6, 8, 9):
        (root / names[i]).write_bytes(b"x")
    report = check_files({"train": source(root, names, [0] * 10)}, most=5)
    assert report.opened == {"train": (5, 10)}
    assert [name for name, _ in report.unreadable] == ["0.png", "2.png", "4.png", "6.png", "8.png"]


def test_a_long_list_is_cut_and_counted(tree: Callable[..., Path]) -> None:
    names = [f"{i:02}.png" for i in range(13)]
    root = tree(*names)
    for name in names:
        (root / name).write_bytes(b"")
    lines = check_files({"train": source(root, names, [[1.0, 0.0]] * 13)}).lines(["a", "b"])
    assert lines[0].endswith("1 of 2 classes, 13 (a) to 13 (a) images each")
    assert lines[1] == "13 cannot be read"
    assert len(lines) == 2 + 10 + 1
    assert lines[-1] == "  and 3 more"

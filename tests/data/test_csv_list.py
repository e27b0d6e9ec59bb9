from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from cnnlab.data.csv_list import CsvList, class_names
from cnnlab.data.csv_rows import Row
from cnnlab.errors import UserError

PATHS = [f"{i:02}.png" for i in range(12)]


@pytest.fixture
def table(tree: Callable[..., Path], file_keys: dict[str, Any]) -> Callable[..., CsvList]:
    def make(lines: list[str], **other: Any) -> CsvList:
        root = tree(*PATHS)
        (root / "list.csv").write_text("\n".join(lines))
        keys = {"root": str(root), "file": str(root / "list.csv"), "test_fraction": 0.25}
        return CsvList(**file_keys | keys | {"val_fraction": 0.25} | other)

    return make


def test_splits_and_labels_are_the_tables(table: Callable[..., CsvList]) -> None:
    splits = ["train"] * 6 + ["val"] * 2 + ["test"] * 4
    lines = [f"{path},{'ab'[i % 2]},{splits[i]}" for i, path in enumerate(PATHS)]
    data = table(["path,label,split", *lines])
    assert data.summary()["sizes"] == {"train": 6, "val": 2, "test": 4}
    assert (data.classes, data.multi_label, data.class_counts) == (["a", "b"], False, [3, 3])
    for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader()):
        for batch in loader:
            numbers = batch.images[:, 0, 0, 0] // 10
            names = [int(loader.source.names[id][:2]) for id in batch.ids.tolist()]
            assert numbers.tolist() == names
            assert batch.targets.tolist() == [number % 2 for number in names]


def test_what_has_no_rows_is_held_out(table: Callable[..., CsvList]) -> None:
    lines = [f"{path},{'ab'[i % 2]}" for i, path in enumerate(PATHS)]
    data = table(["path,label", *lines])
    assert data.summary()["sizes"] == {"train": 6, "val": 3, "test": 3}
    assert not data.summary()["test_is_val"]
    assert table(["path,label", *lines], test_fraction=0).summary()["test_is_val"]


def test_several_labels_make_float_targets(table: Callable[..., CsvList]) -> None:
    labels = ["x|y", "x", "", "z|x|y", "y", "z"]
    lines = [
        f"{path},{labels[i % 6]},{'train' if i < 6 else 'val'}" for i, path in enumerate(PATHS)
    ]
    data = table(["path,label,split", *lines], test_fraction=0)
    data.setup()
    assert data.multi_label
    assert data.class_counts == [3, 3, 2]
    expected = torch.tensor([[1, 1, 0], [1, 0, 0], [0, 0, 0], [1, 1, 1], [0, 1, 0], [0, 0, 1.0]])
    assert torch.equal(data.splits.val.targets, expected)
    batch = next(iter(data.val_dataloader()))
    assert batch.targets.dtype == torch.float32
    assert torch.equal(batch.targets, expected[:3])


def test_whole_numbers_are_sorted_as_such() -> None:
    def rows(*labels: str) -> list[Row]:
        return [Row("x", (label,), "train") for label in labels]

    assert class_names(rows("10", "9", "0", "9")) == ["0", "9", "10"]
    assert class_names(rows("10", "9", "b")) == ["10", "9", "b"]


@pytest.mark.parametrize(
    ("lines", "match"),
    [
        (["path,label,split", "00.png,a,val"], "no rows whose split is train"),
        (
            ["path,label,split", "00.png,a,train", "01.png,b,val", "02.png,c,val"],
            "2 classes have no image in train: b, c",
        ),
    ],
)
def test_tables_that_cannot_be_trained_on(
    table: Callable[..., CsvList], lines: list[str], match: str
) -> None:
    with pytest.raises(UserError, match=match):
        table(lines).setup()

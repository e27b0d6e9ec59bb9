import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cnnlab.data.imagenette import Imagenette
from cnnlab.errors import UserError


def test_class_ids_are_imagenets(
    real_data: Callable[[str], Path], file_keys: dict[str, Any]
) -> None:
    """The set's own table says which of the 1000 each folder is."""
    root = real_data("imagenette224")
    data = Imagenette(**file_keys | {"root": str(root), "labels": "imagenet1k"})
    data.setup()
    assert len(data.classes) == len(data.class_counts) == 1000
    with (root / "classes.csv").open() as stream:
        table = {row["synset"]: int(row["imagenet1k_index"]) for row in csv.DictReader(stream)}
    assert len(table) == 10
    for split in (data.splits.train, data.splits.val):
        for name, target in zip(split.names, split.targets.tolist(), strict=True):
            assert target == table[name.split("/")[1]]
    assert sum(data.class_counts) == 1000
    assert data.class_counts[0] == 100


def test_without_labels_the_folders_are_numbered(
    real_data: Callable[[str], Path], file_keys: dict[str, Any]
) -> None:
    data = Imagenette(**file_keys | {"root": str(real_data("imagenette224")), "labels": None})
    data.setup()
    assert len(data.classes) == 10
    assert data.splits.val.targets.tolist() == [label for label in range(10) for _ in range(50)]


def test_a_folder_that_is_none_of_the_1000_is_named(
    tree: Callable[..., Path], file_keys: dict[str, Any]
) -> None:
    root = tree("train/n99999999/1.png", "val/n99999999/2.png")
    with pytest.raises(UserError, match=r"train/n99999999 is none of ImageNet's 1000.*labels=null"):
        Imagenette(**file_keys | {"root": str(root), "labels": "imagenet1k"}).setup()

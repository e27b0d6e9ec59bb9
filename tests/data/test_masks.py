from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnnlab.data.masks import Masks
from cnnlab.errors import UserError

Tree = Callable[[dict], Path]


def pairs(*stems: str) -> dict[str, Any]:
    """A picture and a mask for each."""
    return {f"images/{s}.jpg": None for s in stems} | {f"masks/{s}.png": [0, 7] for s in stems}


def open_masks(root: Path, mask_keys: dict[str, Any], **other: Any) -> Masks:
    data = Masks(**mask_keys | {"root": str(root), "test_fraction": 0.1} | other)
    data.setup()
    return data


def names(data: Masks) -> dict[str, list[str]]:
    """Stems of each split; a pair's two are the same."""
    found = {}
    for split in ("train", "val", "test"):
        of_split = getattr(data.splits, split).pairs
        found[split] = [n.removeprefix("images/").rpartition(".")[0] for n in of_split.images]
        masks = [n.removeprefix("masks/").rpartition(".")[0] for n in of_split.masks]
        assert masks == found[split]
    return found


def test_folders_are_splits(mask_tree: Tree, mask_keys: dict[str, Any]) -> None:
    root = mask_tree(pairs("train/x/1", "train/2", "val/1", "test/1"))
    data = open_masks(root, mask_keys)
    assert names(data) == {"train": ["train/2", "train/x/1"], "val": ["val/1"], "test": ["test/1"]}
    assert not data.summary()["test_is_val"]
    assert data.classes == ["sky", "road", "car"]


def test_without_a_test_folder_test_is_val(mask_tree: Tree, mask_keys: dict[str, Any]) -> None:
    data = open_masks(mask_tree(pairs("train/1", "train/2", "validation/1")), mask_keys)
    assert data.summary()["sizes"] == {"train": 2, "val": 1, "test": 1}
    assert data.summary()["test_is_val"]


@pytest.mark.parametrize("folder", ["", "splits/"])
def test_lists_are_splits(mask_tree: Tree, mask_keys: dict[str, Any], folder: str) -> None:
    lists = {"train": "b\na.b\n", "val": "train/c.jpg\n", "test": "d.x.jpg\n"}
    files = pairs("a.b", "b", "train/c", "d.x") | {"images/unlabelled.jpg": None}
    files |= {f"{folder}{name}.txt": text for name, text in lists.items()}
    data = open_masks(mask_tree(files), mask_keys)
    assert names(data) == {"train": ["b", "a.b"], "val": ["train/c"], "test": ["d.x"]}


def test_a_list_of_val_alone_is_test_too(mask_tree: Tree, mask_keys: dict[str, Any]) -> None:
    data = open_masks(mask_tree(pairs(*"abc") | {"train.txt": "a", "val.txt": "b"}), mask_keys)
    assert names(data) == {"train": ["a"], "val": ["b"], "test": ["b"]}
    assert data.summary()["test_is_val"]


def test_a_list_of_test_alone_leaves_val_to_be_held_out(
    mask_tree: Tree, mask_keys: dict[str, Any]
) -> None:
    stems = [f"{k:02}" for k in range(20)]
    lists = {"train.txt": "\n".join(stems[:18]), "test.txt": "\n".join(stems[18:])}
    data = open_masks(mask_tree(pairs(*stems) | lists), mask_keys)
    found = names(data)
    assert [len(found[split]) for split in ("train", "val", "test")] == [16, 2, 2]
    assert found["test"] == stems[18:]


def test_one_heap_is_parted_by_split_seed(mask_tree: Tree, mask_keys: dict[str, Any]) -> None:
    stems = [f"{k:02}" for k in range(20)]
    root = mask_tree(pairs(*stems))
    keys = mask_keys | {"val_fraction": 0.2}
    data = open_masks(root, keys, test_fraction=0.3)
    found = names(data)
    assert [len(found[split]) for split in ("train", "val", "test")] == [10, 4, 6]
    assert sorted(stem for of_split in found.values() for stem in of_split) == stems
    assert names(open_masks(root, keys | {"seed": 3}, test_fraction=0.3)) == found
    assert names(open_masks(root, keys | {"split_seed": 3}, test_fraction=0.3)) != found
    summary = open_masks(root, keys, test_fraction=0.0).summary()
    assert summary["sizes"] == {"train": 16, "val": 4, "test": 4}
    assert summary["test_is_val"]


@pytest.mark.parametrize(
    ("files", "match"),
    [
        ({}, r"images is missing; data\.root=.* must hold images/ and masks/, .*docs/data\.md"),
        ({"images/a.jpg": None}, r"/masks is missing"),
        (pairs("a") | {"images/b.jpg": None}, r"1 images have no mask in .*: images/b\.jpg"),
        (pairs("a") | {"masks/b.png": [0]}, r"1 masks have no image in .*: masks/b\.png"),
        (pairs("a") | {"images/a.png": None}, r"images/a\.jpg and images/a\.png have the same"),
        ({"images/x.txt": "", "masks/a.png": [0]}, r"/images has no image"),
        (pairs("val/a"), r"/images: there is val and no train"),
        (pairs("a") | {"val.txt": "a"}, r": there is val and no train"),
        (pairs("train/a", "b"), r"images/b\.jpg lies beside train"),
        (pairs("train/a", "other/b"), r"images/other/b\.jpg lies beside train"),
        (pairs("train/a", "val/b", "validation/b"), r"has both val and validation"),
        (pairs("a") | {"train.txt": "a\nb\n"}, r"missing: images/b \(train\.txt\), masks/b"),
        (pairs("a") | {"images/b.jpg": None, "train.txt": "b"}, r"missing: masks/b \(train\.txt\)"),
        (pairs("a") | {"train.txt": "a", "val.txt": "a.jpg"}, r"several lists.*: images/a\.jpg"),
        (pairs("a") | {"train.txt": "\n"}, r"train\.txt: names no image"),
        (pairs("a"), r"1 images are too few to hold out a share"),
    ],
)
def test_layouts_that_cannot_be_meant(
    mask_tree: Tree, mask_keys: dict[str, Any], files: dict, match: str
) -> None:
    with pytest.raises(UserError, match=match) as caught:
        open_masks(mask_tree(files), mask_keys)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [-0.1, 0.9])
def test_shares_that_leave_nothing(tmp_path: Path, mask_keys: dict[str, Any], share: float) -> None:
    with pytest.raises(UserError, match=rf"data\.test_fraction={share} must be"):
        open_masks(tmp_path, mask_keys, test_fraction=share)


@pytest.mark.data
def test_a_real_set_reads(real_data: Callable[[str], Path], mask_keys: dict[str, Any]) -> None:
    """Electron micrographs of the ISBI 2012 challenge, 24 and 6 of 512 x 512."""
    root = real_data("isbi_membrane")
    data = open_masks(root, mask_keys | {"values": {0: "cell", 1: "membrane"}})
    assert data.summary()["sizes"] == {"train": 24, "val": 6, "test": 6}
    batch = next(iter(data.val_dataloader()))
    assert batch.targets.shape == (2, 512, 512)
    first = np.asarray(Image.open(root / "masks" / "24.png"))
    assert np.array_equal(batch.targets[0], first)

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from cnnlab.data.image_folder import ImageFolder
from cnnlab.errors import UserError


def open_folder(root: Path, file_keys: dict[str, Any], **other: Any) -> ImageFolder:
    return ImageFolder(**file_keys | {"root": str(root), "test_fraction": 0.1} | other)


def flat(count: int) -> list[str]:
    return [f"{name}/{i:02}.png" for name in ("cat", "dog") for i in range(count)]


def test_split_folders_are_the_splits(tree: Callable[..., Path], file_keys: dict[str, Any]) -> None:
    root = tree("train/b/1.png", "train/a/1.png", "train/a/2.png", "validation/a/1.png",
                "validation/b/1.png", "test/b/1.png", "test/a/7.png")  # fmt: skip
    data = open_folder(root, file_keys)
    summary = data.summary()
    assert summary["sizes"] == {"train": 3, "val": 2, "test": 2}
    assert not summary["test_is_val"]
    assert data.classes == ["a", "b"]
    assert (data.channels, data.image_size, data.class_counts) == (3, (16, 16), [2, 1])
    assert data.splits.test.targets.tolist() == [0, 1]


def test_one_tree_is_held_out_stratified_by_split_seed(
    tree: Callable[..., Path], file_keys: dict[str, Any]
) -> None:
    root = tree(*flat(10))
    keys = {"val_fraction": 0.2, "test_fraction": 0.3}
    data = open_folder(root, file_keys, **keys)
    assert data.summary()["sizes"] == {"train": 10, "val": 4, "test": 6}
    splits = (data.splits.train, data.splits.val, data.splits.test)
    for split in splits:
        assert split.targets.bincount().tolist() == [len(split) // 2] * 2
    names = [set(split.names) for split in splits]
    assert set.union(*names) == set(flat(10))  # 10 + 4 + 6: none twice
    again = open_folder(root, file_keys, **keys, seed=5)
    assert again.summary()["digest"] == data.summary()["digest"]
    other = open_folder(root, file_keys, **keys, split_seed=5)
    assert other.summary()["digest"] != data.summary()["digest"]


def test_without_a_test_fraction_test_is_val(
    tree: Callable[..., Path], file_keys: dict[str, Any]
) -> None:
    summary = open_folder(tree(*flat(10)), file_keys, test_fraction=0).summary()
    assert summary["sizes"] == {"train": 18, "val": 2, "test": 2}
    assert summary["test_is_val"]


def test_a_batch_holds_each_files_own_pixels_and_label(
    tree: Callable[..., Path], file_keys: dict[str, Any]
) -> None:
    root = tree(*flat(8))
    data = open_folder(root, file_keys, val_fraction=0.25, test_fraction=0.25)
    data.setup()
    for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader()):
        for batch in loader:
            assert batch.images.dtype == torch.uint8
            assert batch.images.shape[1:] == (3, 16, 16)
            for image, target, id in zip(batch.images, batch.targets, batch.ids, strict=True):
                number = flat(8).index(loader.source.names[int(id)])
                assert image[0].unique().tolist() == [10 * number]
                assert target == (number >= 8)


@pytest.mark.parametrize(
    ("paths", "match"),
    [
        ((), r"data\.root=.* is no folder; looked for .*/train/CLASS/IMAGE or .*docs/data\.md"),
        (("val/a/1.png",), r"train is missing beside .*val"),
        (("train/a/1.png", "train/b/1.png", "val/a/1.png"), r"val/b is missing"),
        (("train/a/1.png", "val/1.png"), r"val has no class folders"),
        (("1.png", "2.png"), r"no class folders"),
    ],
)
def test_layouts_that_cannot_be_meant(
    tmp_path: Path, tree: Callable[..., Path], file_keys: dict[str, Any], paths: tuple, match: str
) -> None:
    root = tree(*paths) if paths else tmp_path / "nowhere"
    with pytest.raises(UserError, match=match):
        open_folder(root, file_keys).setup()


@pytest.mark.parametrize("share", [-0.1, 0.9])
def test_shares_that_leave_nothing(
    tree: Callable[..., Path], file_keys: dict[str, Any], share: float
) -> None:
    with pytest.raises(UserError, match=rf"data\.test_fraction={share} must be"):
        open_folder(tree(*flat(10)), file_keys, test_fraction=share).setup()

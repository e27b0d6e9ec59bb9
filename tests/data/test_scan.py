import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cnnlab.data import scan as module
from cnnlab.data.scan import same_classes, scan, split_folders
from cnnlab.errors import UserError


def test_listing_is_sorted_recursive_and_relative(tree: Callable[..., Path]) -> None:
    root = tree("t/b/2.png", "t/b/1.JPG", "t/a/deep/er/3.Webp", "t/a/z.tif", "t/.hidden/x.png")
    (root / "t/b/notes.txt").write_text("no image")
    (root / "t/b/._1.jpg").write_bytes(b"what macOS leaves behind")
    (root / "t/a/.cache").mkdir()
    (root / "t/README").write_text("no class")
    found = scan(root, root / "t")
    assert found.classes == ["a", "b"]
    assert found.names == [["t/a/deep/er/3.Webp", "t/a/z.tif"], ["t/b/1.JPG", "t/b/2.png"]]
    listing = found.listing({"a": 5, "b": 7})
    assert list(listing.names) == [name for names in found.names for name in names]
    assert listing.targets.tolist() == [5, 5, 7, 7]


def test_links_are_followed(tree: Callable[..., Path]) -> None:
    root = tree("store/1.png", "t/a/2.png")
    os.symlink(root / "store", root / "t/b")
    assert scan(root, root / "t").names[1] == ["t/b/1.png"]


def test_an_empty_class_folder_is_named(tree: Callable[..., Path]) -> None:
    root = tree("t/a/1.png")
    (root / "t/cat").mkdir()
    (root / "t/cat/1.xyz").write_text("")
    with pytest.raises(UserError, match=r"t/cat has no image \(1 other files\); .*\.jpg .*\.png"):
        scan(root, root / "t")


def test_a_split_without_class_folders_is_named(tree: Callable[..., Path]) -> None:
    root = tree("val/1.png", "val/2.png")
    with pytest.raises(UserError, match=r"val has no class folders; 1\.png lies there without"):
        scan(root, root / "val")


def test_a_class_missing_in_one_split_is_named(tree: Callable[..., Path]) -> None:
    root = tree("train/a/1.png", "train/b/1.png", "val/a/1.png", "test/a/1.png", "test/c/1.png")
    train, val, test = (scan(root, root / name) for name in ("train", "val", "test"))
    with pytest.raises(UserError, match=r"val/b is missing: .*train has 2 classes, .*val 1"):
        same_classes([train, val])
    with pytest.raises(UserError, match=r"train/c is missing: "):
        same_classes([train, test])
    assert same_classes([train, train]) == ["a", "b"]


def test_split_folders(tree: Callable[..., Path]) -> None:
    root = tree("train/a/1.png", "validation/a/1.png", "other/a/1.png")
    assert split_folders(root) == {"train": root / "train", "val": root / "validation"}
    tree("val/a/1.png")
    with pytest.raises(UserError, match="both val and validation"):
        split_folders(root)


def test_a_long_scan_says_how_far_it_is(
    tree: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    root = tree("t/a/1.png", "t/b/2.png", "t/c/3.png")
    scan(root, root / "t")
    assert capfd.readouterr().err == ""
    monkeypatch.setattr(module, "_QUIET_SECONDS", -1.0)
    scan(root, root / "t")
    assert "2 images so far" in capfd.readouterr().err

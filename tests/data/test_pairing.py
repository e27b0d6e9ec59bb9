from collections.abc import Callable
from pathlib import Path

import pytest

from cnnlab.data.pairing import by_stem, existing, lines_of, named, paired
from cnnlab.errors import UserError

Tree = Callable[[dict], Path]


def empty_files(*paths: str) -> dict[str, str]:
    return dict.fromkeys(paths, "")


def test_files_are_found_by_ending_at_any_depth(mask_tree: Tree) -> None:
    root = mask_tree(
        empty_files(
            "gt/b/x_ids.png",
            "gt/b/x_color.png",
            "gt/a/y_IDS.PNG",
            "gt/.z_ids.png",
            "gt/.hidden/x_ids.png",
            "other/a_ids.png",
        )
    )
    found = by_stem(root, root / "gt", ["_ids.png"])
    assert list(found.items()) == [("a/y", "gt/a/y_IDS.PNG"), ("b/x", "gt/b/x_ids.png")]


def test_two_files_of_one_stem_are_refused(mask_tree: Tree) -> None:
    root = mask_tree(empty_files("images/a.jpg", "images/a.png"))
    with pytest.raises(UserError, match=r"images/a\.jpg and images/a\.png have the same stem"):
        by_stem(root, root / "images", [".png", ".jpg"])


def test_pairs_need_nothing_but_the_stem_in_common(mask_tree: Tree) -> None:
    root = mask_tree(empty_files("i/x/1.JPEG", "i/2.tif", "m/x/1.png", "m/2.tiff", "m/notes.md"))
    assert paired(root, root / "i", root / "m") == {
        "2": ("i/2.tif", "m/2.tiff"),
        "x/1": ("i/x/1.JPEG", "m/x/1.png"),
    }


def test_who_has_no_partner_is_named_and_counted(mask_tree: Tree) -> None:
    lonely = [f"i/{k:02}.jpg" for k in range(12)]
    root = mask_tree(empty_files(*lonely, "i/both.jpg", "m/both.png", "m/other.png", "m/01.jpg"))
    with pytest.raises(UserError) as caught:
        paired(root, root / "i", root / "m")
    said = str(caught.value)
    assert f"12 images have no mask in {root}/m: {', '.join(lonely[:10])} and 2 more" in said
    assert f"1 masks have no image in {root}/i: m/other.png" in said
    assert ".png .bmp .tif" in said  # a JPEG is no mask
    assert "\n" not in said


def test_a_folder_without_images_is_refused(mask_tree: Tree) -> None:
    root = mask_tree(empty_files("i/readme.txt", "m/a.png"))
    with pytest.raises(UserError, match=r"/i has no image; they end in \.jpg"):
        paired(root, root / "i", root / "m")


def test_lists_that_name_missing_files(mask_tree: Tree) -> None:
    root = mask_tree(empty_files("a.jpg", "a.png"))
    existing(root, {"train": [("a.jpg", "a.png")]})
    missing = [("a.jpg", f"{k}.png") for k in range(11)]
    with pytest.raises(UserError, match=r"missing: 0\.png \(val\), .*9\.png \(val\) and 1 more$"):
        existing(root, {"train": [("a.jpg", "a.png")], "val": missing})


def test_lines(mask_tree: Tree) -> None:
    root = mask_tree({"list": "# name\n\nb c 1\n  a\n", "empty": "\n# none\n"})
    assert lines_of(root / "list") == ["b c 1", "a"]
    with pytest.raises(UserError, match="/empty: names no image"):
        lines_of(root / "empty")
    (root / "list").write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(UserError, match="/list: is no text in UTF-8"):
        lines_of(root / "list")


def test_named() -> None:
    assert named(["a", "b"]) == "a, b"
    assert named([str(k) for k in range(2000)]).endswith("8, 9 and 1,990 more")

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from cnnlab.data.image_lookup import missing, refuse_missing, size_of
from cnnlab.errors import UserError


def test_what_is_missing(box_tree: Callable[[dict], Path]) -> None:
    root = box_tree({"a/1.jpg": None, "a/2.jpg": None, "3.jpg": None})
    names = ["a/1.jpg", "a/4.jpg", "3.jpg", "b/1.jpg", "A/1.jpg", "a/../3.jpg"]
    assert sorted(missing(root, names)) == ["A/1.jpg", "a/4.jpg", "b/1.jpg"]
    refuse_missing(root, names[:1], "list")
    with pytest.raises(UserError, match=r"list: missing below .*: a/4\.jpg, b/1\.jpg$"):
        refuse_missing(root, names[:4], "list")


def test_size_is_of_the_upright_image(box_tree: Callable[[dict], Path]) -> None:
    root = box_tree({"1.jpg": (30, 20), "2.jpg": "no image"})
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (30, 20)).save(root / "3.jpg", exif=exif)
    assert size_of(root, "1.jpg") == (20, 30)
    assert size_of(root, "3.jpg") == (30, 20)
    with pytest.raises(UserError, match=r"2\.jpg: its annotation gives no size, and it cannot"):
        size_of(root, "2.jpg")

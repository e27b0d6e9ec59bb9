from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnnlab.data.camvid import CamVid
from cnnlab.data.check_masks import check_masks
from cnnlab.errors import UserError

CLASSES = ["sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car",
           "pedestrian", "bicyclist"]  # fmt: skip


def files(path: str = "{0}/{1}.png {0}annot/{1}.png\n") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for split in ("train", "val", "test"):
        found[f"{split}/{split}_1.png"] = None
        found[f"{split}annot/{split}_1.png"] = [0, 11, 10]
        found[f"{split}.txt"] = path.format(split, f"{split}_1")
    return found


def open_camvid(root: Path, mask_keys: dict[str, Any], conf_data: Any) -> CamVid:
    keys = {key: conf_data("camvid")[key] for key in ("values", "image_size")}
    data = CamVid(**mask_keys | keys | {"root": str(root)})
    data.setup()
    return data


@pytest.mark.parametrize("before", ["", "/SegNet/CamVid/"])
def test_lists_of_the_tutorial_are_read_as_they_are(
    mask_tree: Callable[[dict], Path], mask_keys: dict[str, Any], conf_data: Any, before: str
) -> None:
    root = mask_tree(files(before + "{0}/{1}.png " + before + "{0}annot/{1}.png\n"))
    data = open_camvid(root, mask_keys, conf_data)
    assert data.classes == CLASSES
    assert data.summary()["sizes"] == {"train": 1, "val": 1, "test": 1}
    assert not data.summary()["test_is_val"]
    assert data.splits.test.mask(0)[0, [0, 12, 23]].tolist() == [0, 255, 10]


def test_what_is_missing_is_named(
    mask_tree: Callable[[dict], Path], mask_keys: dict[str, Any], conf_data: Any
) -> None:
    root = mask_tree(files())
    (root / "valannot/val_1.png").unlink()
    with pytest.raises(UserError, match=r"missing: valannot/val_1\.png \(val\)"):
        open_camvid(root, mask_keys, conf_data)
    (root / "val.txt").write_text("val/val_1.png\n")
    with pytest.raises(UserError, match=r"val\.txt: each line must be an image and its mask"):
        open_camvid(root, mask_keys, conf_data)
    (root / "val.txt").unlink()
    with pytest.raises(UserError, match=r"val\.txt is missing; data\.root=.*SegNet tutorial"):
        open_camvid(root, mask_keys, conf_data)


@pytest.mark.data
def test_the_real_set(
    real_data: Callable[[str], Path], mask_keys: dict[str, Any], conf_data: Any
) -> None:
    root = real_data("camvid")
    data = open_camvid(root, mask_keys, conf_data)
    assert data.summary()["sizes"] == {"train": 367, "val": 101, "test": 233}
    assert data.classes == CLASSES
    report = check_masks({"val": data.splits.val})
    report.refuse("error")
    pixels = report.splits["val"].pixels
    assert sum(pixels.values()) == 101 * 360 * 480
    files = sorted((root / "valannot").glob("*.png"))
    masks = np.concatenate([np.asarray(Image.open(file)).ravel() for file in files])
    assert [pixels.get(value, 0) for value in range(12)] == np.bincount(masks).tolist()
    rows = [line.split() for line in report.lines()[2:]]
    assert [row[1] for row in rows] == [*CLASSES, "ignore"]
    for column, some in ((2, rows), (3, rows[:-1])):
        assert sum(float(row[column].rstrip("%")) for row in some) == pytest.approx(100, abs=0.06)

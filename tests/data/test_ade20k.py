from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cnnlab.data.ade20k import ADE20K
from cnnlab.errors import UserError


def files(base: str = "") -> dict[str, Any]:
    names = {"training": ("ADE_train_00000001", "ADE_train_00000002"),
             "validation": ("ADE_val_00000001",)}  # fmt: skip
    found: dict[str, Any] = {}
    for split, stems in names.items():
        for stem in stems:
            found[f"{base}images/{split}/{stem}.jpg"] = None
            found[f"{base}annotations/{split}/{stem}.png"] = [0, 1, 150]
    return found | {f"{base}objectInfo150.txt": "", f"{base}sceneCategories.txt": ""}


def open_ade(root: Path, mask_keys: dict[str, Any], conf_data: Any) -> ADE20K:
    data = ADE20K(**mask_keys | {"root": str(root), "values": conf_data("ade20k")["values"]})
    data.setup()
    return data


@pytest.mark.parametrize("base", ["", "ADEChallengeData2016/"])
def test_the_published_layout(
    mask_tree: Callable[[dict], Path], mask_keys: dict[str, Any], conf_data: Any, base: str
) -> None:
    data = open_ade(mask_tree(files(base)), mask_keys, conf_data)
    assert data.summary()["sizes"] == {"train": 2, "val": 1, "test": 1}
    assert data.summary()["test_is_val"]
    assert data.splits.val.mask(0)[0, [0, 12, 23]].tolist() == [255, 0, 149]


def test_classes(mask_tree: Callable[[dict], Path], mask_keys: dict[str, Any], conf_data: Any):
    """Some of objectInfo150.txt; none comes twice, though `screen` is a name of three."""
    classes = open_ade(mask_tree(files()), mask_keys, conf_data).classes
    assert len(classes) == 150
    picked = {1: "wall", 9: "windowpane", 13: "person", 59: "screen door", 64: "blind",
              76: "swivel chair", 90: "television", 131: "screen", 150: "flag"}  # fmt: skip
    assert {index: classes[index - 1] for index in picked} == picked


def test_what_is_missing_is_named(
    mask_tree: Callable[[dict], Path], mask_keys: dict[str, Any], conf_data: Any
) -> None:
    root = mask_tree(files())
    (root / "annotations/validation/ADE_val_00000001.png").unlink()
    with pytest.raises(UserError, match=r"1 images have no mask .*images/validation/ADE_val_0"):
        open_ade(root, mask_keys, conf_data)
    (root / "annotations").rename(root / "elsewhere")
    with pytest.raises(UserError, match=r"annotations/training is missing; .*ADEChallengeData2016"):
        open_ade(root, mask_keys, conf_data)

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torchvision import datasets

from cnnlab.data.cityscapes import Cityscapes
from cnnlab.errors import UserError


def files() -> dict[str, Any]:
    """As both archives are unpacked: gtFine has more than the masks, test has empty ones."""
    frames = {
        "train": ("aachen/aachen_000000_000019", "ulm/ulm_000000_000019"),
        "val": ("munster/munster_000000_000019",),
        "test": ("bonn/bonn_000000_000019",),
    }
    found: dict[str, Any] = {}
    for split, names in frames.items():
        for name in names:
            found[f"leftImg8bit/{split}/{name}_leftImg8bit.png"] = None
            found[f"gtFine/{split}/{name}_gtFine_labelIds.png"] = [7, 0, 33]
            for other in ("color.png", "instanceIds.png", "polygons.json"):
                found[f"gtFine/{split}/{name}_gtFine_{other}"] = "not to be opened"
    return found


def open_cityscapes(root: Path, mask_keys: dict[str, Any], conf_data: Any) -> Cityscapes:
    values = conf_data("cityscapes")["values"]
    data = Cityscapes(**mask_keys | {"root": str(root), "values": values})
    data.setup()
    return data


def test_the_published_layout(
    mask_tree: Callable[[dict], Path], mask_keys: dict[str, Any], conf_data: Any
) -> None:
    data = open_cityscapes(mask_tree(files()), mask_keys, conf_data)
    assert data.summary()["sizes"] == {"train": 2, "val": 1, "test": 1}
    assert data.summary()["test_is_val"]
    assert (
        list(data.splits.train.names)[1]
        == "leftImg8bit/train/ulm/ulm_000000_000019_leftImg8bit.png"
    )
    assert data.splits.val.mask(0)[0, [0, 12, 23]].tolist() == [0, 255, 18]


def test_values_are_torchvisions(
    mask_tree: Callable[[dict], Path], mask_keys: dict[str, Any], conf_data: Any
) -> None:
    """Its table is a copy of cityscapesScripts'; train ids are ours, in order."""
    data = open_cityscapes(mask_tree(files()), mask_keys, conf_data)
    drawn = [label for label in datasets.Cityscapes.classes if label.id >= 0]
    assert data.class_map.values == {
        label.id: "ignore" if label.ignore_in_eval else label.name for label in drawn
    }
    assert {
        data.classes[label.train_id]: label.id for label in drawn if not label.ignore_in_eval
    } == {label.name: label.id for label in drawn if not label.ignore_in_eval}
    assert len(data.classes) == 19


def test_what_is_missing_is_named(
    mask_tree: Callable[[dict], Path], mask_keys: dict[str, Any], conf_data: Any
) -> None:
    root = mask_tree(files())
    mask = root / "gtFine/train/ulm/ulm_000000_000019_gtFine_labelIds.png"
    mask.unlink()
    with pytest.raises(UserError, match=r"1 images have no mask .*ulm_000000_000019_leftImg8bit"):
        open_cityscapes(root, mask_keys, conf_data)
    (root / "gtFine").rename(root / "elsewhere")
    with pytest.raises(UserError, match=r"gtFine/train is missing; .*gtFine_trainvaltest\.zip"):
        open_cityscapes(root, mask_keys, conf_data)

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights

from cnnlab.data.coco_stuff import COCOStuff
from cnnlab.errors import UserError


def files(images: str = "", masks: str = "stuffthingmaps/") -> dict[str, Any]:
    names = {"train2017": ("000000000009", "000000000025"), "val2017": ("000000000139",)}
    found: dict[str, Any] = {"annotations/instances_val2017.json": ""}
    for split, stems in names.items():
        for stem in stems:
            found[f"{images}{split}/{stem}.jpg"] = None
            found[f"{masks}{split}/{stem}.png"] = [0, 255, 181]
    return found


def open_coco(root: Path, mask_keys: dict[str, Any], conf_data: Any) -> COCOStuff:
    values = conf_data("coco_stuff")["values"]
    data = COCOStuff(**mask_keys | {"root": str(root), "values": values})
    data.setup()
    return data


@pytest.mark.parametrize("images", ["", "images/"])
@pytest.mark.parametrize("masks", ["stuffthingmaps/", "annotations/"])
def test_the_published_layout(
    mask_tree: Callable[[dict], Path],
    mask_keys: dict[str, Any],
    conf_data: Any,
    images: str,
    masks: str,
) -> None:
    data = open_coco(mask_tree(files(images, masks)), mask_keys, conf_data)
    assert data.summary()["sizes"] == {"train": 2, "val": 1, "test": 1}
    assert data.summary()["test_is_val"]
    assert data.splits.val.mask(0)[0, [0, 12, 23]].tolist() == [0, 255, 170]


def test_things_are_torchvisions_and_stuff_follows(
    mask_tree: Callable[[dict], Path], mask_keys: dict[str, Any], conf_data: Any
) -> None:
    """Its nets' categories have COCO's ids, 1 to 90, of which ten are not used."""
    data = open_coco(mask_tree(files()), mask_keys, conf_data)
    theirs = FasterRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"]
    values = data.class_map.values
    assert [values[id - 1] for id in range(1, 91)] == [
        "ignore" if name == "N/A" else name for name in theirs[1:]
    ]
    assert sorted(values) == [*range(182), 255]
    assert (len(data.classes), data.classes.index("banner")) == (171, 80)
    assert [id for id in range(91, 182) if values[id] == "ignore"] == []
    assert (values[91], values[113], values[181]) == ("banner", "floor-marble", "wood")


def test_what_is_missing_is_named(
    mask_tree: Callable[[dict], Path], mask_keys: dict[str, Any], conf_data: Any
) -> None:
    root = mask_tree(files())
    (root / "stuffthingmaps/val2017").rename(root / "elsewhere")
    with pytest.raises(UserError, match=r"stuffthingmaps/val2017 or .*annotations/val2017 is miss"):
        open_coco(root, mask_keys, conf_data)

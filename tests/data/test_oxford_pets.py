from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cnnlab.data.oxford_pets import OxfordPets
from cnnlab.errors import UserError


def files() -> dict[str, Any]:
    """As both archives are unpacked: trimaps has hidden files, images has Matlab's."""
    train = [f"Abyssinian_{k}" for k in range(10)]
    test = ["yorkshire_terrier_1"]
    found: dict[str, Any] = {f"images/{name}.jpg": None for name in (*train, *test, "in_no_list_1")}
    for name in (*train, *test):
        found[f"annotations/trimaps/{name}.png"] = [2, 3, 1]
        found[f"annotations/trimaps/._{name}.png"] = "no picture"
    found["images/Abyssinian_34.mat"] = ""
    found["annotations/trainval.txt"] = "".join(f"{name} 1 1 1\n" for name in train)
    found["annotations/test.txt"] = "".join(f"{name} 37 2 25\n" for name in test)
    return found


def open_pets(root: Path, mask_keys: dict[str, Any], conf_data: Any, **values: Any) -> OxfordPets:
    keys = mask_keys | {"root": str(root), "values": conf_data("oxford_pets")["values"]}
    data = OxfordPets(**keys | values)
    data.setup()
    return data


def test_the_published_layout(
    mask_tree: Callable[[dict], Path], mask_keys: dict[str, Any], conf_data: Any
) -> None:
    data = open_pets(mask_tree(files()), mask_keys, conf_data)
    assert data.summary()["sizes"] == {"train": 9, "val": 1, "test": 1}
    assert not data.summary()["test_is_val"]
    assert data.classes == ["pet", "background"]
    assert data.splits.test.mask(0)[0, [0, 12, 23]].tolist() == [1, 255, 0]


def test_the_border_may_be_a_class(
    mask_tree: Callable[[dict], Path], mask_keys: dict[str, Any], conf_data: Any
) -> None:
    values = {1: "pet", 2: "background", 3: "border"}
    data = open_pets(mask_tree(files()), mask_keys, conf_data, values=values)
    assert data.splits.test.mask(0)[0, [0, 12, 23]].tolist() == [1, 2, 0]


def test_what_is_missing_is_named(
    mask_tree: Callable[[dict], Path], mask_keys: dict[str, Any], conf_data: Any
) -> None:
    root = mask_tree(files())
    (root / "annotations/trimaps/Abyssinian_3.png").unlink()
    with pytest.raises(UserError, match=r"missing: annotations/trimaps/Abyssinian_3\.png \(train"):
        open_pets(root, mask_keys, conf_data)
    (root / "annotations").rename(root / "elsewhere")
    with pytest.raises(UserError, match=r"trainval\.txt is missing; .*annotations\.tar\.gz"):
        open_pets(root, mask_keys, conf_data)

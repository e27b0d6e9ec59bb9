from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from torchvision.models.segmentation import FCN_ResNet50_Weights

from cnnlab.data.voc_seg import VOCSeg
from cnnlab.errors import UserError

LISTS = {"train": ("2007_000032", "2007_000039"), "val": ("2007_000033",)}


@pytest.fixture
def layout(mask_tree: Callable[[dict], Path]) -> Callable[..., Path]:
    """As VOCtrainval_11-May-2012.tar is unpacked; `2007_000121` is in no list of 2012's own."""

    def make(base: str = "") -> Path:
        stems = [*LISTS["train"], *LISTS["val"], "2007_000121"]
        files: dict[str, Any] = {f"{base}JPEGImages/{stem}.jpg": None for stem in stems}
        files |= {f"{base}SegmentationClass/{stem}.png": [0, 15, 255] for stem in stems[:3]}
        files |= {f"{base}SegmentationClassAug/{stem}.png": [0, 20] for stem in stems}
        lists = LISTS | {"trainaug": (*LISTS["train"], "2007_000121")}
        for name, of_list in lists.items():
            files[f"{base}ImageSets/Segmentation/{name}.txt"] = "\n".join(of_list) + "\n"
        root = mask_tree(files)
        for file in (root / base / "SegmentationClass").iterdir():
            mask = Image.open(file)  # the published ones have a palette
            mask.putpalette(bytes(i * 37 % 256 for i in range(768)))
            mask.save(file)
        return root

    return make


def open_voc(root: Path, mask_keys: dict[str, Any], conf_data: Any, **other: Any) -> VOCSeg:
    conf = {key: conf_data("voc_seg")[key] for key in ("values", "train_list", "image_size")}
    data = VOCSeg(**mask_keys | conf | {"root": str(root)} | other)
    data.setup()
    return data


@pytest.mark.parametrize("base", ["", "VOCdevkit/VOC2012/"])
def test_the_published_layout(
    layout: Callable[..., Path], mask_keys: dict[str, Any], conf_data: Any, base: str
) -> None:
    data = open_voc(layout(base), mask_keys, conf_data)
    assert data.summary()["sizes"] == {"train": 2, "val": 1, "test": 1}
    assert data.summary()["test_is_val"]
    train = data.splits.train
    assert list(train.pairs.images) == [f"{base}JPEGImages/{stem}.jpg" for stem in LISTS["train"]]
    assert train.mask(1)[0, [0, 12, 23]].tolist() == [0, 15, 255]


def test_classes_are_those_of_published_nets(
    layout: Callable[..., Path], mask_keys: dict[str, Any], conf_data: Any
) -> None:
    theirs = FCN_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1.meta["categories"]
    assert open_voc(layout(), mask_keys, conf_data).classes == ["background", *theirs[1:]]


def test_the_augmented_list_has_its_own_masks(
    layout: Callable[..., Path], mask_keys: dict[str, Any], conf_data: Any
) -> None:
    data = open_voc(layout(), mask_keys, conf_data, train_list="trainaug")
    assert data.summary()["sizes"] == {"train": 3, "val": 1, "test": 1}
    assert set(data.splits.train.pairs.masks) == {
        f"SegmentationClassAug/{stem}.png" for stem in (*LISTS["train"], "2007_000121")
    }
    assert list(data.splits.val.pairs.masks) == ["SegmentationClass/2007_000033.png"]


@pytest.mark.parametrize(
    ("gone", "match"),
    [
        ("JPEGImages", r"JPEGImages or .*VOC2012/JPEGImages is missing; .*VOCtrainval_11-May-2012"),
        ("ImageSets/Segmentation/val.txt", r"val\.txt is missing"),
        ("SegmentationClass/2007_000033.png", r"missing: SegmentationClass/2007_000033\.png \(val"),
    ],
)
def test_what_is_missing_is_named(
    layout: Callable[..., Path], mask_keys: dict[str, Any], conf_data: Any, gone: str, match: str
) -> None:
    root = layout()
    (root / gone).rename(root / "elsewhere")
    with pytest.raises(UserError, match=match):
        open_voc(root, mask_keys, conf_data)

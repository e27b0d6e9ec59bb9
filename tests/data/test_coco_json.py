from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from cnnlab.data.coco_json import COCOJson
from cnnlab.data.voc_xml import VOCXml
from cnnlab.errors import UserError

Build = Callable[..., COCOJson]


def content(*names: str, boxes: bool = True, **other: Any) -> dict[str, Any]:
    """Image k has k boxes of the classes cat and dog by turns; ids have gaps."""
    return {
        "images": [
            {"id": 10 * k, "file_name": name, "width": 24, "height": 20}
            for k, name in enumerate(names)
        ],
        "annotations": [
            {
                "id": 100 * k + j,
                "image_id": 10 * k,
                "category_id": (8, 5)[j % 2],
                "bbox": [j, 2, 5, 6],
            }
            for k in range(len(names))
            for j in range(k * boxes)
        ],
        "categories": [{"id": 8, "name": "dog"}, {"id": 5, "name": "cat"}],
    } | other


@pytest.fixture
def build(box_keys: dict[str, Any]) -> Build:
    def make(root: Path, **other: Any) -> COCOJson:
        keys = {"root": str(root), "annotations": None, "images": None}
        data = COCOJson(**box_keys | keys | other)
        data.setup()
        return data

    return make


def pictures(folder: str, *names: str) -> dict[str, Any]:
    return {f"{folder}{name}": None for name in names}


TRAIN, VAL, TEST = ("a.jpg", "b.jpg", "c.jpg", "d.jpg"), ("e.jpg", "f.jpg"), ("g.jpg", "h.jpg")
LAYOUTS = {
    "coco": ("annotations/instances_{}2017.json", "{}2017/", ("train", "val", "test")),
    "images": ("annotations/instances_{}2017.json", "images/{}2017/", ("train", "val", "test")),
    "short": ("annotations/instances_{}.json", "images/", ("train", "val", "test")),
    "bccd": ("annotations/instances_{}.json", "JPEGImages/", ("train", "val", "test")),
    "roboflow": ("{}/_annotations.coco.json", "{}/", ("train", "valid", "test")),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(build: Build, box_tree: Callable[[dict], Path], layout: str) -> None:
    file, folder, splits = LAYOUTS[layout]
    files: dict[str, Any] = {}
    for split, names in zip(splits, (TRAIN, VAL, TEST), strict=True):
        files |= {file.format(split): content(*names)} | pictures(folder.format(split), *names)
    data = build(box_tree(files))
    assert data.summary()["sizes"] == {"train": 4, "val": 2, "test": 2}
    assert data.summary()["boxes"] == {"train": 6, "val": 1, "test": 1}
    assert data.classes == ["cat", "dog"]  # by id
    assert not data.summary()["test_is_val"]
    batch = next(iter(data.val_dataloader()))
    assert batch.targets.xyxy.tolist() == [[0, 2, 5, 8]]
    assert (batch.targets.label.tolist(), batch.targets.image.tolist()) == ([1], [1])


def test_published_coco(
    build: Build, box_tree: Callable[[dict], Path], conf_data: Any, box_keys: dict[str, Any]
) -> None:
    files = {
        "annotations/instances_train2017.json": content(*TRAIN),
        "annotations/instances_val2017.json": content(*VAL),
        "annotations/captions_train2017.json": {},
    }
    root = box_tree(files | pictures("train2017/", *TRAIN) | pictures("val2017/", *VAL))
    conf = {k: conf_data("coco")[k] for k in ("annotations", "images", "bad_boxes")}
    data = build(root, **conf, test_fraction=0.1)
    assert data.summary()["sizes"] == {"train": 4, "val": 2, "test": 2}
    assert data.summary()["test_is_val"]


def test_roboflows_group_is_no_class(build: Build, box_tree: Callable[[dict], Path]) -> None:
    categories = [
        {"id": 0, "name": "pets", "supercategory": "none"},
        {"id": 5, "name": "cat", "supercategory": "pets"},
        {"id": 8, "name": "dog", "supercategory": "pets"},
        {"id": 9, "name": "hamster", "supercategory": "pets"},  # a class, though without a box
    ]
    files: dict[str, Any] = {}
    for split, names in (("train", TRAIN), ("valid", VAL)):
        files[f"{split}/_annotations.coco.json"] = content(*names, categories=categories)
        files |= pictures(f"{split}/", *names)
    data = build(box_tree(files))
    assert data.classes == ["cat", "dog", "hamster"]
    said: list[str] = []
    data.describe(said.append)
    assert "the category 'pets' has no box and is the group of others: left out" in said
    assert "1 classes have no box in train: hamster" in said


def test_a_group_with_boxes_is_a_class(build: Build, box_tree: Callable[[dict], Path]) -> None:
    """COCO's person is of the group person; a group may have boxes of its own."""
    categories = [
        {"id": 5, "name": "cat", "supercategory": "cat"},
        {"id": 8, "name": "dog", "supercategory": "cat"},
    ]
    files = {"train/_annotations.coco.json": content(*TRAIN, categories=categories)}
    root = box_tree(files | pictures("train/", *TRAIN))
    assert build(root, val_fraction=0.3).classes == ["cat", "dog"]


def test_what_is_held_out(build: Build, box_tree: Callable[[dict], Path]) -> None:
    names = [f"{k:02}.jpg" for k in range(20)]
    root = box_tree({"train/_annotations.coco.json": content(*names)} | pictures("train/", *names))
    data = build(root, val_fraction=0.2, test_fraction=0.1)
    assert data.summary()["sizes"] == {"train": 14, "val": 4, "test": 2}
    splits = [list(getattr(data.splits, s).names) for s in ("train", "val", "test")]
    assert sorted(name for names_ in splits for name in names_) == [
        f"train/{name}" for name in names
    ]
    # Each image keeps its boxes.
    for split in ("train", "val", "test"):
        table = getattr(data.splits, split).table
        numbers = [int(name[6:8]) for name in table.names]
        assert table.counts().tolist() == numbers


def test_the_same_file_twice_is_told(build: Build, box_tree: Callable[[dict], Path]) -> None:
    root = box_tree({"x.json": content(*TRAIN)} | pictures("", *TRAIN))
    data = build(root, annotations={"train": "x.json", "val": "x.json"})
    said: list[str] = []
    data.describe(said.append)
    assert "4 images of val are in train, too" in said
    assert data.summary()["test_is_val"]


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"annotations": {"train": "y.json"}}, r"y\.json is missing; data\.root=.* must hold"),
        ({"annotations": {"val": "x.json"}}, "data.annotations=.*: has no train"),
        ({"annotations": {"train": "x.json", "vall": "x.json"}}, "data.annotations.vall: the spl"),
        ({"images": "pics"}, r"x\.json: its first image, a\.jpg, is not in pics below .*images$"),
        ({"classes": ["cat", "dgo"]}, "'dgo' is in no annotation; did you mean 'dog'"),
        ({"annotations": None}, r"annotations/instances_train\.json or .*coco\.json is missing"),
    ],
)
def test_wrong_keys(
    build: Build, box_tree: Callable[[dict], Path], other: dict[str, Any], says: str
) -> None:
    root = box_tree({"x.json": content(*TRAIN)} | pictures("", *TRAIN))
    with pytest.raises(UserError, match=says):
        build(root, **{"annotations": {"train": "x.json"}, "val_fraction": 0.3} | other)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (
            pictures("train/", *TRAIN[:3]),
            r"coco\.json: missing below .*: train/d\.jpg",
        ),
        ({}, r"its first image, a\.jpg, is not in .*train.*; data.images=FOLDER says where"),
        (
            pictures("train/", *TRAIN)
            | {"annotations/instances_train.json": {}, "annotations/instances_train2017.json": {}},
            r"instances_train\.json, .* may all be train; data\.annotations\.train=FILE",
        ),
        (
            pictures("train/", *TRAIN)
            | {"train/_annotations.coco.json": content(*TRAIN, boxes=False)},
            "no image of train has a box",
        ),
    ],
)
def test_wrong_files(
    build: Build, box_tree: Callable[[dict], Path], files: dict[str, Any], says: str
) -> None:
    root = box_tree({"train/_annotations.coco.json": content(*TRAIN)} | files)
    with pytest.raises(UserError, match=says):
        build(root, val_fraction=0.3)


@pytest.mark.data
def test_bccd_is_the_same_from_json_and_xml(
    build: Build, real_data: Callable[[str], Path], conf_data: Any, box_keys: dict[str, Any]
) -> None:
    root = real_data("bccd")
    conf = {
        key: conf_data("bccd")[key]
        for key in ("lists", "images", "annotations", "one_based", "classes", "bad_boxes")
    }
    xml = VOCXml(**box_keys | conf | {"root": str(root)})
    xml.setup()
    json = build(root)
    assert json.classes == xml.classes == ["RBC", "WBC", "Platelets"]
    for split in ("train", "val", "test"):
        ours, theirs = (getattr(data.splits, split).table for data in (json, xml))
        assert list(ours.names) == list(theirs.names)
        for part in ("sizes", "first", "xyxy", "label", "crowd", "area"):
            assert torch.equal(getattr(ours, part), getattr(theirs, part))
    # MANIFEST of the set: 4,888 boxes, 2 of which have no area and are not in the json.
    assert sum(xml.summary()["boxes"].values()) == 4886
    assert xml.summary()["bad_boxes"] == {
        "policy": "clip",
        "clipped": {"train": 0, "val": 0, "test": 0},
        "dropped": {"train": 1, "val": 1, "test": 0},
    }
    strict = VOCXml(**box_keys | conf | {"root": str(root), "bad_boxes": "error"})
    with pytest.raises(UserError, match=r"BloodImage_00343\.xml: object 4: .* has no area"):
        strict.setup()

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pycocotools.coco import COCO

from cnnlab.data.coco_file import CocoFile
from cnnlab.errors import UserError

CONTENT: dict[str, Any] = {
    "images": [
        {"id": 900, "file_name": "b.jpg", "width": 100, "height": 80},
        {"id": 7, "file_name": "a.jpg", "width": 640, "height": 480},
        {"id": 8, "file_name": "c.jpg", "width": 50, "height": 50},
    ],
    "annotations": [
        {"id": 4, "image_id": 7, "category_id": 90, "bbox": [1.5, 2, 10, 20.25], "area": 77.5},
        {"id": 1, "image_id": 900, "category_id": 3, "bbox": [0, 0, 9, 8], "iscrowd": 1},
        {"id": 9, "image_id": 7, "category_id": 3, "bbox": [600, 400, 40, 80], "area": None},
    ],
    "categories": [
        {"id": 90, "name": "toothbrush", "supercategory": "indoor"},
        {"id": 3, "name": "car"},
    ],
}
LABELS = {"car": 0, "toothbrush": 1}


def no_size(name: str) -> tuple[int, int]:
    raise AssertionError(name)


def opened(tmp_path: Path, change: Callable[[dict], Any] = lambda content: None) -> CocoFile:
    content = copy.deepcopy(CONTENT)
    change(content)
    file = tmp_path / "a.json"
    file.write_text(json.dumps(content))
    return CocoFile(file)


def test_gappy_ids_crowds_areas_and_images_without_boxes(tmp_path: Path) -> None:
    file = opened(tmp_path)
    assert file.categories == {90: ("toothbrush", "indoor"), 3: ("car", "")}
    table, faults = file.rows(LABELS, "img/", no_size).table({0: 0, 1: 1}, "error")
    assert list(table.names) == ["img/b.jpg", "img/a.jpg", "img/c.jpg"]
    assert table.sizes.tolist() == [[80, 100], [480, 640], [50, 50]]
    assert table.counts().tolist() == [1, 2, 0]
    assert table.xyxy.tolist() == [[0, 0, 9, 8], [1.5, 2, 11.5, 22.25], [600, 400, 640, 480]]
    assert table.label.tolist() == [0, 1, 0]
    assert table.crowd.tolist() == [True, False, False]
    assert table.area.tolist() == [72, 77.5, 3200]
    assert faults == []


@pytest.mark.data
def test_as_pycocotools_reads_coco128(real_data: Callable[[str], Path]) -> None:
    path = real_data("coco128") / "annotations" / "instances_train2017.json"
    theirs, ours = COCO(str(path)), CocoFile(path)
    ids = sorted(ours.categories)
    labels = {ours.categories[id].name: k for k, id in enumerate(ids)}
    table, _ = ours.rows(labels, "", no_size).table({k: k for k in range(len(ids))}, "clip")
    assert [entry["file_name"] for entry in theirs.dataset["images"]] == list(table.names)
    compared = 0
    for number, image in enumerate(theirs.dataset["images"]):
        annotations = theirs.loadAnns(theirs.getAnnIds(imgIds=image["id"]))
        boxes = table.boxes(number)
        assert [ids[label] for label in boxes.label] == [a["category_id"] for a in annotations]
        assert boxes.crowd.tolist() == [bool(a["iscrowd"]) for a in annotations]
        torch.testing.assert_close(
            boxes.area, torch.tensor([float(a["area"]) for a in annotations])
        )
        bbox = torch.tensor([a["bbox"] for a in annotations]).view(-1, 4)
        bbox[:, 2:] += bbox[:, :2]
        torch.testing.assert_close(boxes.xyxy, bbox, atol=0.07, rtol=0)  # rounding at the edge
        compared += len(annotations)
    assert compared == 929
    assert int((table.counts() == 0).sum()) == 2


def test_a_bad_box_is_named_as_the_file_has_it(tmp_path: Path) -> None:
    file = opened(tmp_path, setting("annotations.2.bbox", [600, 400, 41, -2]))
    rows = file.rows(LABELS, "img/", no_size)
    _, faults = rows.table({0: 0, 1: 1}, "drop")
    place = f"{tmp_path / 'a.json'}: annotation with id 9 of img/a.jpg"
    assert faults == [f"{place}: bbox [600, 400, 41, -2] is inverted; dropped"]


def test_an_annotation_without_an_id_is_named_by_its_place(tmp_path: Path) -> None:
    wrong = {"image_id": 7, "category_id": 3, "bbox": [0, 0, 1, 1], "area": "big"}
    file = opened(tmp_path, setting("annotations.1", wrong))
    with pytest.raises(UserError, match="annotation number 2 of the list, without an id: 'area'"):
        file.rows(LABELS, "", no_size)


def test_sizes_that_are_not_given_are_asked_for(tmp_path: Path) -> None:
    def without(content: dict) -> None:
        del content["images"][1]["width"]
        content["images"][2]["height"] = 0

    asked = {"x/a.jpg": (481, 641), "x/c.jpg": (51, 52)}
    rows = opened(tmp_path, without).rows(LABELS, "x/", asked.__getitem__)
    assert rows.table({0: 0}, "error").table.sizes.tolist() == [[80, 100], [481, 641], [51, 52]]


def test_roboflows_category_may_be_called_like_a_class(tmp_path: Path) -> None:
    def more(content: dict) -> None:
        content["categories"].insert(0, {"id": 0, "name": "car", "supercategory": "none"})

    rows = opened(tmp_path, more).rows(LABELS, "", no_size)
    assert rows.counts() == {0: 2, 1: 1}


def setting(path: str, value: Any) -> Callable[[dict], None]:
    """`setting("images.0.id", 5)`."""

    def change(content: dict) -> None:
        *way, last = [int(w) if w.isdigit() else w for w in path.split(".")]
        node: Any = content
        for step in way:
            node = node[step]
        node[last] = value

    return change


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("annotations.0.image_id", 5, "annotation with id 4: image_id 5 is not among its images"),
        (
            "annotations.0.category_id",
            4,
            "annotation with id 4: category_id 4 is not among its categories, 90, 3",
        ),
        (
            "annotations.0.category_id",
            "3",
            "annotation with id 4: 'category_id' must be a whole number",
        ),
        (
            "annotations.0.category_id",
            [3],
            r"annotation with id 4: 'category_id' must be .*, not \[3\]",
        ),
        ("annotations.0.image_id", [7], r"annotation with id 4: 'image_id' must be .*, not \[7\]"),
        (
            "annotations.0.iscrowd",
            "0",
            "annotation with id 4: 'iscrowd' must be 0, 1, true or false, not '",
        ),
        ("annotations.0.iscrowd", 2, "annotation with id 4: 'iscrowd' must be"),
        ("annotations.0.iscrowd", None, "annotation with id 4: 'iscrowd' must be"),
        ("annotations.0.iscrowd", [], "annotation with id 4: 'iscrowd' must be"),
        (
            "annotations.0.bbox",
            [1, 2, 3],
            r"annotation with id 4: 'bbox' must be \[x, y, width, height\]",
        ),
        ("annotations.0.bbox", [1, 2, 3, None], "annotation with id 4: 'bbox' must be"),
        ("annotations.0.bbox", [1, 2, 3, 10**400], "annotation with id 4: 'bbox' must be"),
        ("annotations.0.bbox", None, "annotation with id 4: 'bbox' must be"),
        ("annotations.0.area", "big", "annotation with id 4: 'area' must be a number, not 'big'"),
        ("annotations.0.area", float("nan"), "annotation with id 4: 'area' must be a number"),
        (
            "annotations.0",
            3,
            "annotation number 1 of the list, without an id: 'image_id' must be a whole",
        ),
        ("images.0.id", 7, "image 7, a.jpg, is listed twice"),
        ("images.0.file_name", "a.jpg", "image 7, a.jpg, is listed twice"),
        ("images.0.file_name", None, "'file_name' must be a text, not None"),
        ("images.0.width", "wide", "image 900: height and width must be whole numbers"),
        ("images.0.width", 10.5, "image 900: height and width must be whole numbers"),
        ("images", [], "has no image"),
        ("images", {}, "has no list 'images'"),
        ("annotations", None, "has no list 'annotations'"),
        ("categories.0.id", 3, "two categories have the id 3"),
        ("categories.0.name", "car", "the categories 90 and 3 are both 'car'"),
        ("categories.0.name", 5, "'name' must be a text, not 5"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, path: str, value: Any, says: str) -> None:
    with pytest.raises(UserError, match=rf"a\.json: {says}") as caught:
        opened(tmp_path, setting(path, value)).rows(LABELS, "", no_size)
    assert "\n" not in str(caught.value)


def test_many_categories_are_told_in_part(tmp_path: Path) -> None:
    def more(content: dict) -> None:
        content["categories"] += [{"id": 100 + k, "name": f"class {k}"} for k in range(21)]
        content["annotations"][0]["category_id"] = 4

    says = r"category_id 4 is not among its categories, 90, 3, 100, .*, 117 and 3 more$"
    with pytest.raises(UserError, match=says):
        opened(tmp_path, more).rows(LABELS, "", no_size)


@pytest.mark.parametrize("value", [True, 1, False, 0])
def test_what_iscrowd_may_be(tmp_path: Path, value: Any) -> None:
    table, _ = (
        opened(tmp_path, setting("annotations.1.iscrowd", value))
        .rows(LABELS, "", no_size)
        .table({0: 0, 1: 1}, "error")
    )
    assert table.crowd.tolist() == [bool(value), False, False]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is no json: Expecting"),
        ("[" * 100_000, "is no json: "),
        ("[]", "is no json of COCO's structure"),
        ("{}", "has no list 'images'"),
    ],
)
def test_no_json(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "a.json"
    file.write_text(text)
    with pytest.raises(UserError, match=rf"a\.json: {says}"):
        CocoFile(file)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.json: cannot be read: No such file"):
        CocoFile(tmp_path / "a.json")

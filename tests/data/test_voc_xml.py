from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torchvision.datasets import VOCDetection
from torchvision.models.segmentation import FCN_ResNet50_Weights

from cnnlab.data.voc_xml import VOCXml
from cnnlab.errors import UserError

Build = Callable[..., VOCXml]


def xml(*objects: tuple[str, int, int, int, int], size: str = "", difficult: int = 0) -> str:
    entries = "".join(
        f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox><xmin>{a}</xmin>"
        f"<ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax></bndbox></object>"
        for name, a, b, c, d in objects
    )
    size = size or "<size><width>24</width><height>20</height></size>"
    return f"<annotation><filename>x.png</filename>{size}{entries}</annotation>"


ALL = {
    "one": xml(("dog", 1, 1, 24, 20), ("cat", 5, 6, 5, 6)),
    "two": xml(),
    "three": xml(("cat", 2, 3, 10, 12), difficult=1),
}


def tree(files: dict[str, str], base: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {f"{base}JPEGImages/{stem}.jpg": None for stem in files}
    return found | {f"{base}Annotations/{stem}.xml": text for stem, text in files.items()}


LISTS = {
    "ImageSets/Main/train.txt": "one\ntwo\n",
    "ImageSets/Main/val.txt": "three\n",
    "ImageSets/Main/dog_train.txt": "one  1\ntwo -1\n",
}


@pytest.fixture
def build(box_keys: dict[str, Any]) -> Build:
    def make(root: Path, **other: Any) -> VOCXml:
        keys = {"root": str(root), "lists": None, "one_based": True}
        keys |= {"images": "JPEGImages", "annotations": "Annotations"}
        data = VOCXml(**box_keys | keys | other)
        data.setup()
        return data

    return make


def test_boxes_begin_at_1_and_end_with_a_pixel(
    build: Build, box_tree: Callable[[dict], Path]
) -> None:
    data = build(box_tree(tree(ALL) | LISTS))
    assert data.summary()["sizes"] == {"train": 2, "val": 1, "test": 1}
    assert data.classes == ["cat", "dog"]
    train = data.splits.train.table
    assert train.xyxy.tolist() == [[0, 0, 24, 20], [4, 5, 5, 6]]
    assert train.label.tolist() == [1, 0]
    assert train.area.tolist() == [480, 1]
    assert train.counts().tolist() == [2, 0]
    val = data.splits.val.table
    assert (val.xyxy.tolist(), val.crowd.tolist()) == ([[1, 2, 10, 12]], [True])
    assert data.class_counts == [1, 1]


def test_numbers_as_they_are(build: Build, box_tree: Callable[[dict], Path]) -> None:
    root = box_tree(tree(ALL) | LISTS)
    with pytest.raises(UserError, match=r"one\.xml: object 2: \[5, 6, 5, 6\] has no area"):
        build(root, one_based=False)
    data = build(root, one_based=False, bad_boxes="drop")
    assert data.splits.train.table.xyxy.tolist() == [[1, 1, 24, 20]]
    assert data.summary()["bad_boxes"]["dropped"] == {"train": 1, "val": 0, "test": 0}


def test_a_set_that_counts_from_0_is_told_so_before_a_box_is_mended(
    build: Build, box_tree: Callable[[dict], Path]
) -> None:
    """Clipping would shift every box by a pixel."""
    files = ALL | {"one": xml(("dog", 0, 3, 20, 20), ("cat", 5, 0, 24, 6))}
    root = box_tree(tree(files) | LISTS)
    with pytest.raises(UserError) as caught:
        build(root)
    told = str(caught.value)
    assert "object 1: [0, 3, 20, 20] reaches beyond the image" in told
    assert "2 boxes begin at 0" in told
    assert 0 < told.index("data.one_based=false") < told.index("data.bad_boxes=clip")
    lines: list[str] = []
    build(root, bad_boxes="clip").describe(lines.append)
    assert [line for line in lines if line.startswith("train: 2 boxes begin at 0")]
    quiet: list[str] = []
    build(root, one_based=False).describe(quiet.append)
    assert not [line for line in quiet if "begin" in line]


def test_without_lists_all_is_train(build: Build, box_tree: Callable[[dict], Path]) -> None:
    data = build(box_tree(tree(ALL)), val_fraction=0.34)
    assert data.summary()["sizes"] == {"train": 2, "val": 1, "test": 1}


def test_a_size_that_is_not_given_is_the_images(
    build: Build, box_tree: Callable[[dict], Path]
) -> None:
    zero = "<size><width>0</width><height>0</height></size>"
    root = box_tree(tree(ALL | {"one": xml(("dog", 1, 1, 30, 20), size=zero)}) | LISTS)
    data = build(root, bad_boxes="clip")
    assert data.splits.train.table.sizes.tolist() == [[20, 24]] * 2
    assert data.splits.train.table.xyxy.tolist() == [[0, 0, 24, 20]]


def test_classes_order_and_select(build: Build, box_tree: Callable[[dict], Path]) -> None:
    root = box_tree(tree(ALL) | LISTS)
    assert build(root, classes=["dog", "cat"]).splits.train.table.label.tolist() == [0, 1]
    data = build(root, classes=["dog"])
    assert data.splits.train.table.xyxy.tolist() == [[0, 0, 24, 20]]
    assert data.summary()["classes_left_out"] == {"cat": 2}
    said: list[str] = []
    data.describe(said.append)
    assert "boxes of other classes left out: cat 2" in said


def test_a_misspelt_class_is_told_with_the_one_that_is_meant(
    build: Build, box_tree: Callable[[dict], Path]
) -> None:
    """First, whatever else is left out."""
    wrong = xml(("zebra", 1, 1, 5, 5), ("Dogs", 1, 1, 5, 5), ("Dogs", 2, 2, 6, 6))
    data = build(box_tree(tree(ALL | {"two": wrong}) | LISTS), classes=["cat", "dog"])
    said: list[str] = []
    data.describe(said.append)
    assert "boxes of other classes left out: Dogs 2 (is it 'dog'?), zebra 1" in said


def test_a_part_of_a_set_may_lack_classes(
    build: Build, box_tree: Callable[[dict], Path], conf_data: Any
) -> None:
    classes = conf_data("voc_det")["classes"]
    data = build(box_tree(tree(ALL) | LISTS), classes=classes)
    assert data.classes == classes
    assert data.splits.train.table.label.tolist() == [classes.index("dog"), classes.index("cat")]
    said: list[str] = []
    data.describe(said.append)
    first = ", ".join(name for name in classes if name not in ("cat", "dog"))[:40]
    assert any(f"18 of the 20 classes are in no annotation: {first}" in line for line in said)


VOC = ("VOCdevkit/VOC2007/", "VOCdevkit/VOC2012/")


def test_the_published_layout(
    build: Build, box_tree: Callable[[dict], Path], conf_data: Any
) -> None:
    """As torchvision's own class finds it, object by object."""
    conf = {k: conf_data("voc_det")[k] for k in ("lists", "classes", "one_based", "bad_boxes")}
    files: dict[str, Any] = {}
    for year, base in zip((7, 12), VOC, strict=True):
        xmls = {
            f"{year:06}{k}": xml((name, 1 + k, 2, 14, 15), ("person", 3, 4, 5, 6 + k))
            for k, name in enumerate(conf["classes"][:9] if year == 7 else conf["classes"][8:])
        }
        files |= tree(xmls, base)
        stems = list(xmls)
        files[f"{base}ImageSets/Main/trainval.txt"] = "\n".join(stems[2:] if year == 7 else stems)
        if year == 7:  # 2012's test has no annotations
            files[f"{base}ImageSets/Main/test.txt"] = "\n".join(stems[:2])
    root = box_tree(files)
    data = build(root, **conf)
    assert data.summary()["sizes"] == {"train": 17, "val": 2, "test": 2}
    assert data.classes == FCN_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1.meta["categories"][1:]
    theirs = VOCDetection(root, year="2012", image_set="trainval")
    tables = [source.table for source in data.splits[:2]]
    compared = 0
    for file, (_, target) in zip(theirs.images, theirs, strict=True):
        name = str(Path(file).relative_to(root))
        table = next(t for t in tables if name in list(t.names))
        boxes = table.boxes(list(table.names).index(name))
        for k, entry in enumerate(target["annotation"]["object"]):
            corners = [int(entry["bndbox"][c]) for c in ("xmin", "ymin", "xmax", "ymax")]
            assert data.classes[boxes.label[k]] == entry["name"]
            # VOC's development kit counts from 1, and the last pixel belongs to the box.
            assert boxes.xyxy[k].tolist() == [corners[0] - 1, corners[1] - 1, *corners[2:]]
            compared += 1
    assert compared == 24


@pytest.mark.parametrize(
    ("files", "other", "says"),
    [
        (tree({}) | {"x": ""}, {}, r"JPEGImages is missing; data\.root=.* must hold JPEGImages/"),
        (LISTS | tree({k: ALL[k] for k in ("one", "three")}), {}, r"train\.txt: missing below .*"),
        (LISTS | tree(ALL) | {"JPEGImages/two.png": None}, {}, "have the same stem; keep one"),
        (LISTS | tree(ALL) | {"ImageSets/Main/val.txt": "three\nthree"}, {}, "listed twice: three"),
        (tree(ALL) | {"Annotations/four.xml": xml()}, {}, r"image without xml.*: .*four\.xml"),
        (tree(ALL) | {"JPEGImages/five.jpg": None}, {}, r"image without xml.*: .*five\.jpg"),
        (tree({"a": xml(), "b": xml(), "c": xml()}), {}, "no image of train has a box$"),
        (tree({"a": xml(), "b": xml()}), {"classes": ["RBC"]}, "no image of train has a box$"),
        (tree(ALL), {"lists": {"val": ["x.txt"]}}, "data.lists=.*: has no train"),
        (tree(ALL), {"lists": {"trian": ["x.txt"]}}, "data.lists.trian: the splits are"),
        (tree(ALL), {"lists": {"train": ["x.txt"]}}, r"x\.txt is missing"),
        (tree(ALL), {"classes": ["dog", "catt"]}, "'catt' is in no annotation; did you mean 'cat'"),
        (tree(ALL), {"test_fraction": 0.7}, "data.test_fraction=0.7 must be at least 0 and below"),
    ],
)
def test_wrong_sets(
    build: Build,
    box_tree: Callable[[dict], Path],
    files: dict[str, Any],
    other: dict[str, Any],
    says: str,
) -> None:
    root = box_tree(files)
    with pytest.raises(UserError, match=says) as caught:
        build(root, **{"val_fraction": 0.34} | other)
    assert "\n" not in str(caught.value)

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from cnnlab.data.yolo import YOLO, labels_of
from cnnlab.errors import UserError

Build = Callable[..., YOLO]
LINE = "1 0.5 0.5 0.25 0.5\n"  # 9, 5, 15, 15 in 24 x 20


@pytest.fixture
def build(box_keys: dict[str, Any]) -> Build:
    def make(root: Path, **other: Any) -> YOLO:
        data = YOLO(**box_keys | {"root": str(root), "file": "data.yaml"} | other)
        data.setup()
        return data

    return make


def described(**content: Any) -> dict[str, Any]:
    return {"data.yaml": yaml.safe_dump({"names": ["cat", "dog"]} | content)}


IMAGES = {"images/train/a.jpg": None, "images/train/b.jpg": None, "images/val/c.jpg": None}
LABELS = {"labels/train/a.txt": LINE + "0 .1 .1 .1 .1", "labels/val/c.txt": LINE}
PLAIN = IMAGES | LABELS | described(train="images/train", val="images/val")


def test_folders(build: Build, box_tree: Callable[[dict], Path]) -> None:
    data = build(box_tree(PLAIN))
    assert data.summary()["sizes"] == {"train": 2, "val": 1, "test": 1}
    assert data.classes == ["cat", "dog"]
    batch = next(iter(data.val_dataloader()))
    torch.testing.assert_close(batch.targets.xyxy, torch.tensor([[9.0, 5, 15, 15]]))
    assert (batch.targets.label.tolist(), batch.targets.area.tolist()) == ([1], [60])
    said: list[str] = []
    data.describe(said.append)
    assert "train: 1 images have no file of labels: without boxes" in said


@pytest.mark.parametrize(
    "files",
    [
        described(path="set", train="images/train", val="images/val", names={0: "cat", 1: "dog"}),
        described(path="../elsewhere/set", train=["images/train"], val="images/val", nc=2),
        described(train="../images/train", val="../images/val"),  # Roboflow's
        described(train="train.txt", val="val.txt")
        | {
            "train.txt": "./images/train/a.jpg\nimages/train/b.jpg\n",
            "val.txt": "images/val/c.jpg",
        },
        described(path=".", train="lists/train.txt", val=["images/val"])
        | {"lists/train.txt": "images/train/a.jpg\nimages/train/b.jpg\n"},
        described(train="lists/train.txt", valid="images/val")
        | {"lists/train.txt": "../images/train/a.jpg\n../images/train/b.jpg\n"},
    ],
)
def test_ways_to_say_the_same(
    build: Build, box_tree: Callable[[dict], Path], files: dict[str, Any]
) -> None:
    data = build(box_tree(PLAIN | files))
    assert list(data.splits.train.names) == ["images/train/a.jpg", "images/train/b.jpg"]
    assert list(data.splits.val.names) == ["images/val/c.jpg"]
    assert data.splits.train.table.label.tolist() == [1, 0]


def test_a_path_below_the_root(build: Build, box_tree: Callable[[dict], Path]) -> None:
    files = {f"set/{name}": content for name, content in (IMAGES | LABELS).items()}
    root = box_tree(files | described(path="set", train="images/train", val="images/val"))
    assert list(build(root).splits.val.names) == ["set/images/val/c.jpg"]


@pytest.mark.parametrize(
    ("image", "labels"),
    [
        ("images/train/a.jpg", "labels/train/a.txt"),
        ("train/images/a.b.jpg", "train/labels/a.b.txt"),
        ("images/x/images/a.png", "images/x/labels/a.txt"),
        ("train/a.jpg", "train/a.txt"),
        ("myimages/images.jpg", "myimages/images.txt"),
    ],
)
def test_where_labels_are(image: str, labels: str) -> None:
    assert labels_of(image) == labels


def test_bad_boxes_are_clipped_and_counted(build: Build, box_tree: Callable[[dict], Path]) -> None:
    root = box_tree(PLAIN | {"labels/train/a.txt": "0 1 0.5 0.5 0.5\n1 0.5 0.5 0 0.1\n" + LINE})
    with pytest.raises(
        UserError, match=r"labels/train/a\.txt, line 1: '0 1 0\.5 0\.5 0\.5' reaches beyond the im"
    ):
        build(root)
    data = build(root, bad_boxes="clip")
    expected = torch.tensor([[0.75, 0.25, 1, 0.75], [0.375, 0.25, 0.625, 0.75]])
    torch.testing.assert_close(data.splits.train.table.xyxy, expected)
    said = data.summary()["bad_boxes"]
    assert (said["clipped"]["train"], said["dropped"]["train"]) == (1, 1)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (
            {"labels/train/a.txt": "0 .1 .1 .1 .1\n2 .1 .1 .1 .1"},
            r"a\.txt, line 2: class id 2, and",
        ),
        ({"labels/train/z.txt": LINE}, r"labels without an image: labels/train/z\.txt"),
        ({"data.yaml": "names: [a"}, r"data\.yaml: is no yaml: while parsing"),
        ({"data.yaml": "- a"}, "must have the keys names, train and val"),
        ({"data.yaml": "!!python/object/apply:os.getcwd []"}, "is no yaml: could not determine"),
        (described(val="images/val"), "has no train; names, val are there"),
        (described(train="images/trian"), r"images/trian is not there; looked for .*images/trian"),
        (described(train=[3]), "train must be a path or a list of paths, not 3"),
        (described(train="images/train", names=[]), "names must be a list of class names, or a d"),
        (described(train="images/train", names={1: "a"}), "the ids in names must be 0 to 0"),
        (described(train="images/train", names=["a", True]), "name True must be a text; put it in"),
        (described(train="images/train", names=["a", "a"]), "a class name comes twice"),
        (described(train="images/train", nc=3), "nc=3, and there are 2 names"),
        (described(train="images/train", val="x", valid="y"), "has both val and valid"),
        (described(train=["images/train", "images/train"]), "names an image twice"),
        (described(train="empty") | {"empty/readme.md": ""}, "train=empty has no image"),
        (described(train="t.txt") | {"t.txt": "images/train/q.jpg"}, r"missing below .*q\.jpg"),
        (
            described(train="other") | {"other/q.jpg": None},
            "no image of train has a file of labels",
        ),
        ({"labels/train/a.txt": "\n"}, "no image of train has a box"),
    ],
)
def test_wrong_sets(
    build: Build, box_tree: Callable[[dict], Path], files: dict[str, Any], says: str
) -> None:
    root = box_tree(PLAIN | files)
    with pytest.raises(UserError, match=says) as caught:
        build(root, val_fraction=0.5)
    assert "\n" not in str(caught.value)


def test_no_yaml(build: Build, box_tree: Callable[[dict], Path]) -> None:
    with pytest.raises(
        UserError, match=r"set\.yaml is missing; data\.root=.* must hold data\.yaml"
    ):
        build(box_tree(PLAIN), file="set.yaml")


def test_classes_beside_labels_are_no_labels(
    build: Build, box_tree: Callable[[dict], Path]
) -> None:
    build(box_tree(PLAIN | {"labels/train/classes.txt": "cat\ndog\n"}))

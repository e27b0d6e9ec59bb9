"""What all sets of boxes share, over COCO's json."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from cnnlab.data.batch import Batch, Boxes
from cnnlab.data.coco_json import COCOJson
from cnnlab.errors import UserError
from cnnlab.tasks.detection import DetectionTask

NET = {"mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6), "input_size": (3, 224, 224)}
Build = Callable[..., COCOJson]
SIZES = {"train": 12, "val": 5}


@pytest.fixture
def root(box_tree: Callable[[dict], Path]) -> Path:
    """Images of two sizes, image k with k % 4 boxes; the first box is a crowd where k % 4 is 3."""
    files: dict[str, Any] = {}
    for split, count in SIZES.items():
        images, annotations = [], []
        for k in range(count):
            width, height = (24, 20) if k % 2 else (16, 30)
            files[f"{split}/{k:02}.png"] = (width, height)
            images.append({"id": k, "file_name": f"{k:02}.png", "width": width, "height": height})
            for j in range(k % 4):
                box = {"image_id": k, "category_id": j, "bbox": [j, 2 * j, 8, 10]}
                annotations.append(
                    box | {"id": len(annotations), "iscrowd": int(k % 4 == 3 > 3 * j)}
                )
        categories = [{"id": j, "name": f"class {j}"} for j in range(3)]
        files[f"{split}/_annotations.coco.json"] = {
            "images": images,
            "annotations": annotations,
            "categories": categories,
        }
    return box_tree(files)


@pytest.fixture
def build(root: Path, box_keys: dict[str, Any]) -> Build:
    def make(**other: Any) -> COCOJson:
        keys = {"root": str(root), "annotations": None, "images": None}
        return COCOJson(**box_keys | keys | other)

    return make


def equal(a: Batch, b: Batch) -> bool:
    pairs = [(a.images, b.images), (a.ids, b.ids), (a.frames, b.frames)]
    pairs += list(zip(a.targets, b.targets, strict=True))
    return all(torch.equal(x, y) for x, y in pairs)


def test_batches(build: Build) -> None:
    data = build()
    for loader, size in ((data.train_dataloader(), 4), (data.val_dataloader(), 2)):
        for batch in list(loader)[:-1]:
            assert batch.images.shape == (size, 3, 20, 24)
            assert isinstance(batch.targets, Boxes)
            counts = batch.targets.image.bincount(minlength=size)
            assert counts.tolist() == [int(id) % 4 for id in batch.ids]
            assert (batch.targets.image.diff() >= 0).all()
    test = list(data.test_dataloader())
    assert all(equal(a, b) for a, b in zip(test, data.val_dataloader(), strict=True))


def test_evaluation_leads_back_to_the_annotations(build: Build) -> None:
    data = build(image_size=[40, 60])
    for batch in data.val_dataloader():
        boxes: Boxes = batch.targets
        back = boxes.scaled(batch.frames[:, 2:])
        j = boxes.label.float()
        torch.testing.assert_close(back.xyxy, torch.stack((j, 2 * j, j + 8, 2 * j + 10), 1))
        assert boxes.area.tolist() == [80] * len(j)
        for (height, width, *_), id in zip(batch.frames.tolist(), batch.ids.tolist(), strict=True):
            assert (height, width) == ((40, 48) if id % 2 else (40, 21))


def test_null_is_the_images_own_size(build: Build) -> None:
    data = build(image_size=None)
    data.setup()
    data.adopt(NET)
    assert data.image_size == (30, 24)  # the greatest height and width
    for loader in (data.train_dataloader(), data.val_dataloader()):
        for batch in loader:
            own = [(20, 24) if id % 2 else (30, 16) for id in batch.ids.tolist()]
            assert batch.frames.tolist() == [[h, w, 1, 1] for h, w in own]
            assert batch.images.shape[2:] == (max(h for h, _ in own), max(w for _, w in own))
            # What a batch lacks is the mean, 0 once normalised, as around windows.
            for image, (h, w) in zip(data.prepare(batch, False, 0).images, own, strict=True):
                around = [image[:, h:], image[:, :, w:]]
                torch.testing.assert_close(
                    around, [torch.zeros_like(part) for part in around], atol=0.01, rtol=0
                )


def test_batches_are_equal_with_0_and_2_workers(build: Build, box_keys: dict[str, Any]) -> None:
    loud = replace(
        box_keys["augment"], scale_jitter=(0.5, 2), flip=True, color_jitter=0.4, mosaic=0.5
    )
    epochs = []
    for workers in (0, 2):
        data = build(workers=workers, augment=loud)
        loader = data.train_dataloader()
        loader.sampler.set_epoch(3)
        epochs.append([data.prepare(batch, True, step) for step, batch in enumerate(loader)])
    assert len(epochs[0]) == len(epochs[1]) == 3
    assert all(equal(a, b) for a, b in zip(*epochs, strict=True))


@pytest.mark.parametrize("key", ["flip", "vertical_flip"])
def test_boxes_are_mirrored_once(build: Build, box_keys: dict[str, Any], key: str) -> None:
    """With the window, and not again with the batch."""
    data = build(augment=replace(box_keys["augment"], **{key: True}))
    batch = next(iter(data.train_dataloader()))
    for step in range(8):
        prepared = data.prepare(batch, True, step)
        assert torch.equal(prepared.targets.xyxy, batch.targets.xyxy)


def test_the_record(build: Build) -> None:
    summary = build().summary()
    assert summary["boxes"] == {"train": 18, "val": 6, "test": 6}
    assert summary["crowds"] == {"train": 3, "val": 1, "test": 1}
    assert summary["bad_boxes"]["policy"] == "error"
    assert summary["digest"] == build().summary()["digest"]
    assert summary["digest"] != build(classes=["class 1", "class 0"]).summary()["digest"]
    assert summary["num_classes"] == 3


def test_counts_leave_crowds_out(build: Build) -> None:
    data = build()
    data.setup()
    assert data.class_counts == [6, 6, 3]
    said: list[str] = []
    data.describe(said.append)
    assert said == [
        "train 12, val 5, test 5 (test is val); 3 classes",
        "train: 15 boxes (class 0 6, class 1 6, class 2 3), 3 crowds or difficult, 1.2 an "
        "image, 3 images without",
        "val: 5 boxes (class 0 2, class 1 2, class 2 1), 1 crowds or difficult, 1.0 an image, "
        "2 images without",
    ]


def test_a_fraction_is_of_train_alone(build: Build) -> None:
    assert build(fraction=0.5).summary()["sizes"] == {"train": 6, "val": 5, "test": 5}


@pytest.mark.parametrize("workers", [0, 2])
def test_files_that_cannot_be_read(build: Build, root: Path, workers: int) -> None:
    (root / "val/03.png").write_bytes(b"")
    with pytest.raises(
        UserError, match=r"val/03\.png, cannot be read: it is empty.*bad_files=skip"
    ):
        list(build(workers=workers).val_dataloader())
    data = build(bad_files="skip", workers=workers)
    ids = [int(id) for batch in data.val_dataloader() for id in batch.ids]
    assert ids == [0, 1, 2, 4]
    assert data.summary()["skipped"]["val"] == 1
    assert data.skipped_files()["val"] == ["val/03.png"]


def test_a_size_that_differs_is_refused(build: Build, root: Path) -> None:
    Image.new("RGB", (25, 20)).save(root / "val/03.png")
    says = r"val/03\.png: is 25 x 20 pixels, and its annotation says 24 x 20"
    with pytest.raises(UserError, match=says):
        list(build(bad_files="skip").val_dataloader())
    said: list[str] = []
    with pytest.raises(UserError, match="1 images have another size than their annotation says"):
        build(bad_files="skip").check_files(said.append)
    assert any("25 x 20" in line for line in said)


@pytest.mark.parametrize("loader", ["train_dataloader", "val_dataloader"])
def test_without_a_net_null_is_refused(build: Build, loader: str) -> None:
    with pytest.raises(UserError, match=r"data\.mean=null is what the net"):
        getattr(build(mean=None), loader)()


def test_too_few_to_hold_some_out(build: Build) -> None:
    with pytest.raises(UserError, match="12 images are too few to hold out a share"):
        build(annotations={"train": "train/_annotations.coco.json"}, val_fraction=0.01).setup()


TRAIN, VAL = (f"{split}/_annotations.coco.json" for split in ("train", "val"))


def annotate(root: Path, *, boxed: int, file: str = TRAIN, **entry: Any) -> None:
    """In train, of 12 images, or val a box of class 1 in the first `boxed`."""
    content = json.loads((root / file).read_text())
    box = {"category_id": 1, "bbox": [1, 2, 8, 10], "iscrowd": 0} | entry
    content["annotations"] = [box | {"id": k, "image_id": k} for k in range(boxed)]
    (root / file).write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("entry", "other", "says"),
    [
        ({"iscrowd": 1}, {}, "but 2 crowds or difficult ones, which are not trained on$"),
        (
            {"bbox": [3, 4, 0, 0]},
            {"bad_boxes": "drop"},
            r"but 2 bad ones, dropped \(data\.bad_boxes=drop\)$",
        ),
        ({}, {"classes": ["class 0"]}, r"but 2 of classes that data\.classes leaves out$"),
    ],
)
def test_boxes_but_none_to_train_on(
    build: Build, root: Path, entry: dict[str, Any], other: dict[str, Any], says: str
) -> None:
    annotate(root, boxed=2, **entry)
    with pytest.raises(UserError, match=f"no image of train has a box {says}"):
        build(**other).setup()
    annotate(root, boxed=2)
    build().setup()


def test_no_box_is_left_to_train_on(build: Build, root: Path) -> None:
    """One image has one: held out for val or not, kept by the fraction or not."""
    annotate(root, boxed=1)
    alone = {"annotations": {"train": TRAIN}}
    for keys in ({**alone, "val_fraction": 0.5}, {"fraction": 0.5}):
        refused: list[str] = []
        for seed in range(8):
            data = build(split_seed=seed, **keys)
            try:
                data.setup()
            except UserError as error:
                refused.append(str(error))
            else:
                assert sum(data.class_counts) == 1
        assert 0 < len(refused) < 8
        assert "the 6 images that are left to train on have no box" in refused[0]
        assert "data.split_seed" in refused[0]


def task(monitor: str, mode: str) -> DetectionTask:
    keys = {"score_threshold": 0.05, "candidates": 9, "nms_iou": 0.5, "detections": 9}
    parts: Any = (*[torch.nn.Identity()] * 2, None, None, ["class 0", "class 1", "class 2"], 0)
    made: Any = DetectionTask
    return made(*parts, monitor=monitor, mode=mode, **keys)


@pytest.mark.parametrize(("boxed", "crowd"), [(0, 0), (3, 1)])
def test_no_box_to_choose_the_best_epoch_by(
    build: Build, root: Path, boxed: int, crowd: int
) -> None:
    annotate(root, boxed=boxed, file=VAL, iscrowd=crowd)
    data = build()
    data.setup()
    with pytest.raises(UserError, match=r"task\.monitor=val/map50: no image of val has a box"):
        task("val/map50", "max").suits(data)
    task("val/loss", "min").suits(data)
    annotate(root, boxed=1, file=VAL)
    data = build()
    data.setup()
    task("val/map50", "max").suits(data)
    assert data.remarks() == []


def test_a_test_without_a_box_is_told(build: Build, root: Path) -> None:
    folder = root / "test"
    folder.mkdir()
    content = json.loads((root / VAL).read_text())
    for one in content["annotations"]:
        one["iscrowd"] = 1
    for one in content["images"]:
        (root / "val" / one["file_name"]).rename(folder / one["file_name"])
    (folder / "_annotations.coco.json").write_text(json.dumps(content))
    (root / VAL).unlink()
    data = build(val_fraction=0.5)
    data.setup()
    (line,) = data.remarks()
    count = len(content["annotations"])
    assert line.startswith(f"no image of test has a box but {count} crowds")
    said: list[str] = []
    data.describe(said.append)
    assert line in said

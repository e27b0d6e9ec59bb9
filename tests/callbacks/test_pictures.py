import itertools
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from PIL import Image
from torch.utils.data import DataLoader

from cnnlab.callbacks.box_sheet import BoxSheet
from cnnlab.callbacks.mask_sheet import MaskSheet
from cnnlab.callbacks.pictures import Pictures, denormalised, evenly
from cnnlab.data.batch import Batch, Boxes
from cnnlab.pixels import IGNORE
from cnnlab.tracking.mirror import Mirror
from cnnlab.tracking.record import RunRecord

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
CLASSES = ["cat", "dog", "a class with a very long name indeed"]


class Data(LightningDataModule):
    """12 grey images of 6x8, the last column of each padding; class i % 3."""

    classes, mean, std = CLASSES, [0.3], [0.5]

    def __init__(self, several: bool) -> None:
        super().__init__()
        self.several = several

    def test_dataloader(self) -> DataLoader:
        targets = torch.arange(12) % 3
        if self.several:
            targets = torch.nn.functional.one_hot(targets).float()
        frames = torch.tensor([[6.0, 7.0, 1.0, 1.0]]).repeat(12, 1)
        whole = Batch(torch.randn(12, 1, 6, 8), targets, torch.arange(12), frames)
        batches = [Batch(*(part[i : i + 5] for part in whole)) for i in (0, 5, 10)]
        return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]  # a list will do


class Task(LightningModule):
    """Says class 1 of everything."""

    def __init__(self, confusion: bool) -> None:
        super().__init__()
        self.results: dict[str, Any] = {}
        self.confusion = confusion

    def test_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        return {"predictions": torch.tensor([-5.0, 5.0, -5.0]).repeat(len(batch.ids), 1)}

    def on_test_epoch_end(self) -> None:
        if self.confusion:
            self.results = {"test/confusion": [[0, 4, 0], [0, 4, 0], [0, 4, 0]]}


class Told(Mirror):
    name = version = "told"

    def __init__(self) -> None:
        super().__init__()
        self.images: list[tuple] = []
        self.tables: list[tuple] = []

    def bind(self, record: RunRecord) -> None:
        pass

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        pass

    def log_images(self, *call: Any) -> None:
        self.images.append(call)

    def log_table(self, *call: Any) -> None:
        self.tables.append(call)

    def close(self, status: str) -> None:
        pass


def run_test(
    tmp_path: Path, data: LightningDataModule, task: LightningModule, images: int
) -> tuple[Path, Told]:
    config = {
        "runs": str(tmp_path),
        "resume": None,
        "seed": 0,
        "name": None,
        "model": {"name": "a"},
        "trainer": {"threads": 1},
    }
    told = Told()
    with RunRecord.open(config, {"model": "a", "data": "b"}, []) as record:
        trainer = Trainer(
            accelerator="cpu",
            logger=[record, told],
            callbacks=[Pictures(images=images)],
            enable_progress_bar=False,
            enable_checkpointing=False,
        )
        trainer.test(task, data, verbose=False)
    assert record.folder is not None
    return record.folder / "pictures", told


def test_a_classifier_leaves_a_sheet_and_a_confusion_matrix(tmp_path):
    folder, told = run_test(tmp_path, Data(several=False), Task(confusion=True), images=7)
    assert {p.name for p in folder.iterdir()} == {"predictions.png", "confusion.png"}
    with Image.open(folder / "predictions.png") as sheet:
        width, height = sheet.size
        assert width > 3 * height  # seven side by side
        pixels = torch.frombuffer(bytearray(sheet.convert("RGB").tobytes()), dtype=torch.uint8)
    red, green, _ = pixels.view(height, width, 3).int().unbind(-1)
    marked = (red - green > 100).any(0)  # titles of wrong ones are red; the second one is right
    wrong = [bool(part.any()) for part in marked.tensor_split(7)]
    assert wrong == [True, False, True, True, False, True, True]
    assert [(key, captions) for key, _, captions, _ in told.images] == [
        ("test/predictions", ["5 of 7 wrong"]),
        ("test/confusion", ["truth in rows"]),
    ]
    assert [paths for _, paths, _, _ in told.images] == [
        [folder / "predictions.png"],
        [folder / "confusion.png"],
    ]
    ((key, columns, rows, _),) = told.tables
    assert (key, columns) == ("test/confusion_table", ["truth", "predicted", "images"])
    assert rows == [[name, "dog", 4] for name in CLASSES]


def test_several_labels_an_image_and_no_matrix(tmp_path):
    folder, told = run_test(tmp_path, Data(several=True), Task(confusion=False), images=12)
    assert [p.name for p in folder.iterdir()] == ["predictions.png"]
    assert [call[2] for call in told.images] == [["8 of 12 wrong"]]


def test_normalisation_is_undone():
    images = torch.rand(2, 3, 4, 4)
    mean, std = [0.1, 0.2, 0.3], [0.5, 0.6, 0.7]
    shape = (1, 3, 1, 1)
    normalised = (images - torch.tensor(mean).view(shape)) / torch.tensor(std).view(shape)
    torch.testing.assert_close(denormalised(normalised, mean, std), images)


def test_samples_lie_evenly_over_the_batches():
    def taken(wanted, sizes):
        first, found = 0, []
        for batch, size in enumerate(sizes):
            found += [first + i for i in evenly(wanted, batch, len(sizes), size)]
            first += size
        return found

    # Each beside the middle of its quarter.
    assert taken(4, [1] * 8) == [0, 2, 4, 6]
    assert taken(4, [8]) == [1, 3, 5, 7]
    assert taken(4, [2] * 8) == [1, 5, 9, 13]
    assert taken(4, [1, 1]) == [0, 1]  # there are no more
    assert taken(0, [4, 4]) == []
    for batches in range(1, 60):
        found = taken(4, [5] * batches)
        assert len(found) == 4
        assert all(abs(b - a - 5 * batches / 4) <= 5 for a, b in itertools.pairwise(found))


class MaskData(LightningDataModule):
    """16 images of 12x16 with masks twice as large; rows and columns 8 on of odd ones are padding.

    Image i has class i % 3 everywhere, but for one ignored corner; its red is i / 16.
    """

    classes, mean, std = CLASSES, [0.3] * 3, [0.5] * 3

    def test_dataloader(self) -> DataLoader:
        red = torch.arange(16.0) / 16
        images = torch.zeros(16, 3, 12, 16)
        images[:, 0] = red.view(-1, 1, 1)
        targets = (torch.arange(16) % 3).view(-1, 1, 1).repeat(1, 24, 32)
        targets[:, :6, :6] = IGNORE
        frames = torch.tensor([[12.0, 16.0, 2.0, 2.0], [8.0, 8.0, 2.0, 2.0]]).repeat(8, 1)
        targets[1::2, 16:], targets[1::2, :, 16:] = IGNORE, IGNORE
        whole = Batch((images - 0.3) / 0.5, targets, torch.arange(16), frames)
        batches = [Batch(*(part[i : i + 2] for part in whole)) for i in range(0, 16, 2)]
        return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]  # a list will do


class MaskTask(LightningModule):
    """Says class 1 of everything."""

    def __init__(self) -> None:
        super().__init__()
        self.results = {"test/confusion": [[0, 4_000_000, 1], [0, 5, 0], [0, 0, 0]]}

    def test_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        return {"predictions": torch.ones_like(batch.targets)}


def test_masks_leave_a_sheet_and_a_confusion_matrix(tmp_path, monkeypatch):
    added: list[tuple] = []
    monkeypatch.setattr(MaskSheet, "add", lambda self, *call: added.append(call))
    monkeypatch.setattr(MaskSheet, "__len__", lambda self: 0)
    run_test(tmp_path / "a", data=MaskData(), task=MaskTask(), images=16)
    # These have padding.
    assert [round(16 * float(image[0, 0, 0])) for image, _, _ in added] == [1, 5, 9, 13]
    for image, target, prediction in added:
        assert image.shape == (3, 8, 8)
        assert target.shape == prediction.shape == (16, 16)
    monkeypatch.undo()
    folder, told = run_test(tmp_path / "b", data=MaskData(), task=MaskTask(), images=16)
    assert {p.name for p in folder.iterdir()} == {"predictions.png", "confusion.png"}
    # Of 1, 5, 9 and 13 the first and the last are dogs.
    assert [(key, captions) for key, _, captions, _ in told.images] == [
        ("test/predictions", ["mean IoU 1.00, 0.00, 0.00, 1.00"]),
        ("test/confusion", ["truth in rows"]),
    ]
    ((_, columns, rows, _),) = told.tables
    assert columns == ["truth", "predicted", "pixels"]
    assert rows == [["cat", "dog", 4_000_000], ["dog", "dog", 5], ["cat", CLASSES[2], 1]]


def test_fewer_masks_are_shown_where_fewer_are_wanted(tmp_path):
    _, told = run_test(tmp_path, data=MaskData(), task=MaskTask(), images=1)
    assert told.images[0][2] == ["mean IoU 1.00"]


Found = namedtuple("Found", "xyxy score label")


class BoxData(LightningDataModule):
    """16 images of 12x16, seen at half their size; rows and columns 8 on of odd ones are padding.

    Image i has i % 3 objects of class 1, the n-th from (n, 1) to (n + 3, 5) in the image seen.
    """

    classes, mean, std = CLASSES, [0.3] * 3, [0.5] * 3

    def test_dataloader(self) -> DataLoader:
        frame = torch.tensor([[12.0, 16.0, 2.0, 2.0], [8.0, 8.0, 2.0, 2.0]])
        batches = []
        for first in range(0, 16, 2):
            image = torch.tensor([i for i in (0, 1) for _ in range((first + i) % 3)])
            n = torch.tensor([n for i in (0, 1) for n in range((first + i) % 3)])
            xyxy = torch.stack([n, n * 0 + 1, n + 3, n * 0 + 5], 1).float().view(-1, 4)
            boxes = Boxes(xyxy, image * 0 + 1, image, image > 9, image + 1.0)
            images = torch.full((2, 3, 12, 16), first / 16)
            ids = torch.tensor([first, first + 1])
            batches.append(Batch((images - 0.3) / 0.5, boxes, ids, frame))
        return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]  # a list will do


class BoxTask(LightningModule):
    """Finds one dog from (2, 4) to (8, 10) in each original image."""

    def __init__(self) -> None:
        super().__init__()
        self.results = {
            "test/precision_recall": [[float("nan")] * 101, [0.5] * 101, [float("nan")] * 101],
            "test/objects_per_class": [0, 15, 0],
            "test/map_per_class": [float("nan"), 0.25, float("nan")],
            "test/map50_per_class": [float("nan"), 0.5, float("nan")],
            "test/errors_per_class": {"localisation": [0, 4, 0], "missed": [0, 3, 0]},
        }

    def test_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        one = Found(torch.tensor([[2.0, 4, 8, 10]]), torch.tensor([0.9]), torch.tensor([1]))
        return {"predictions": [one] * len(batch.ids)}


def test_boxes_leave_a_sheet_curves_and_a_table(tmp_path, monkeypatch):
    added: list[tuple] = []
    monkeypatch.setattr(BoxSheet, "add", lambda self, *call: added.append(call))
    monkeypatch.setattr(BoxSheet, "__len__", lambda self: 0)
    run_test(tmp_path / "a", data=BoxData(), task=BoxTask(), images=16)
    assert [len(target.label) for _, target, _ in added] == [1, 2, 0, 1], "images 1, 5, 9, 13"
    for image, target, prediction in added:
        assert image.shape == (3, 8, 8), "without padding"
        assert target.xyxy.tolist() == [[n, 1, n + 3, 5] for n in range(len(target.xyxy))]
        assert prediction.xyxy.tolist() == [[1, 2, 4, 5]], "in pixels of the image seen"
    monkeypatch.undo()
    folder, told = run_test(tmp_path / "b", data=BoxData(), task=BoxTask(), images=16)
    assert {p.name for p in folder.iterdir()} == {"predictions.png", "precision_recall.png"}
    said = "detections from score 0.3 for objects: 1 for 1, 1 for 2, 1 for 0, 1 for 1"
    assert [(key, captions) for key, _, captions, _ in told.images] == [
        ("test/predictions", [said]),
        ("test/precision_recall", ["at IoU 0.5, by class"]),
    ]
    ((key, columns, rows, _),) = told.tables
    assert (key, columns[:2], columns[-1]) == ("test/per_class", ["class", "objects"], "missed")
    assert rows[1] == ["dog", 15, 0.25, 0.5, 4, 3]

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from PIL import Image
from torch.utils.data import DataLoader

from cnnlab.callbacks.pictures import Pictures, denormalised
from cnnlab.data.batch import Batch
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


def run_test(tmp_path: Path, several: bool, confusion: bool, images: int) -> tuple[Path, Told]:
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
        trainer.test(Task(confusion), Data(several), verbose=False)
    assert record.folder is not None
    return record.folder / "pictures", told


def test_a_classifier_leaves_a_sheet_and_a_confusion_matrix(tmp_path):
    folder, told = run_test(tmp_path, several=False, confusion=True, images=7)
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
    folder, told = run_test(tmp_path, several=True, confusion=False, images=12)
    assert [p.name for p in folder.iterdir()] == ["predictions.png"]
    assert [call[2] for call in told.images] == [["8 of 12 wrong"]]


def test_normalisation_is_undone():
    images = torch.rand(2, 3, 4, 4)
    mean, std = [0.1, 0.2, 0.3], [0.5, 0.6, 0.7]
    shape = (1, 3, 1, 1)
    normalised = (images - torch.tensor(mean).view(shape)) / torch.tensor(std).view(shape)
    torch.testing.assert_close(denormalised(normalised, mean, std), images)

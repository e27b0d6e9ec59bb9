"""Pictures of a tested run: predictions beside the truth, the confusion matrix, curves."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from cnnlab.atomic import replacing
from cnnlab.callbacks.box_sheet import BoxSheet
from cnnlab.callbacks.confusion_picture import confusion_picture, confusion_table
from cnnlab.callbacks.detection_table import detection_table
from cnnlab.callbacks.label_sheet import LabelSheet
from cnnlab.callbacks.mask_sheet import MaskSheet
from cnnlab.callbacks.pr_curves import pr_curves
from cnnlab.data.batch import Batch, Boxes
from cnnlab.tracking.mirror import Mirror
from cnnlab.tracking.record import RunRecord

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 100


class Sheet(Protocol):
    """Images with their truth and prediction, of one kind of targets."""

    most_rows: ClassVar[int | None]
    """Of a sheet with a row an image, which are spread over the split; None: the first ones."""

    def __len__(self) -> int: ...

    @property
    def caption(self) -> str:
        """The sheet in a line."""

    def add(self, image: Tensor, target: Any, prediction: Any) -> None:
        """Add an image float `(C, H, W)` in 0..1; all without padding, on the host."""

    def draw(self) -> "Figure":
        """All that was added."""


class Pictures(Callback):
    """Writes what a test shows into `pictures/`.

    - `predictions.png`: the first `images` of the test split; of masks and boxes 4 at most, which
      are spread evenly over it, since neighbouring frames of a video look alike (of the first
      process's share). It reads from each test batch `images` (normalised), `targets`, `frames` and
      the step's `outputs["predictions"]`: logits `(B, K)`, with several labels an image where
      targets are `(B, K)`; class ids `(B, H, W)` where they are masks; of each image `xyxy`,
      `score` and `label`, in original pixels, where they are `Boxes`.
    - `confusion.png`: `pl_module.results["test/confusion"]`, truth in rows, `(K, K)`.
    - `precision_recall.png`: `pl_module.results["test/precision_recall"]` `(K, 101)`.

    Loggers that are a `Mirror` get them all, the matrix and a detector's figures by class as tables
    too.
    """

    def __init__(self, *, images: int) -> None:
        self.images = images
        self._sheet: Sheet | None = None

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._sheet = None

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if not trainer.is_global_zero:
            return
        # Set by Lightning's connectors.
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        if self._sheet is None:
            self._sheet = sheet_for(batch.targets, data.classes)
        if self._sheet.most_rows is None:
            ids = list(range(min(self.images - len(self._sheet), len(batch.ids))))
        else:
            most = min(self.images, self._sheet.most_rows)
            ids = evenly(most, batch_idx, int(trainer.num_test_batches[0]), len(batch.ids))
        for i in ids:
            height, width = (round(side) for side in batch.frames[i, :2].tolist())
            image = batch.images[i, :, :height, :width].float().cpu()
            pair = of_image(i, batch, outputs["predictions"])
            self._sheet.add(denormalised(image, data.mean, data.std), *pair)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        folder = RunRecord.of(trainer).folder
        assert folder is not None
        mirrors = [logger for logger in trainer.loggers if isinstance(logger, Mirror)]
        step = trainer.global_step  # where the test metrics stand
        # nn.Module types attributes as Tensor or Module.
        results: dict[str, Any] = pl_module.results  # type: ignore[assignment]
        # Set by Lightning's connectors.
        classes = trainer.datamodule.classes  # type: ignore[attr-defined]

        def picture(name: str, figure: "Figure", caption: str) -> None:
            path = folder / "pictures" / f"{name}.png"
            _save(figure, path)
            for mirror in mirrors:
                mirror.log_images(f"test/{name}", [path], [caption], step)

        def table(name: str, columns: list[str], rows: list[list[Any]]) -> None:
            for mirror in mirrors:
                mirror.log_table(f"test/{name}", columns, rows, step)

        if self._sheet:
            picture("predictions", self._sheet.draw(), self._sheet.caption)
        if (counts := results.get("test/confusion")) is not None:
            masks = isinstance(self._sheet, MaskSheet)
            figure = confusion_picture(counts, classes, in_percent=masks)
            picture("confusion", figure, "truth in rows")
            columns = ["truth", "predicted", "pixels" if masks else "images"]
            table("confusion_table", columns, confusion_table(counts, classes))
        if (curves := results.get("test/precision_recall")) is not None:
            picture("precision_recall", pr_curves(curves, classes), "at IoU 0.5, by class")
            table("per_class", *detection_table(results, classes))


def sheet_for(targets: Any, classes: Sequence[str]) -> Sheet:
    """The empty sheet for targets of that kind, see `Batch.targets`."""
    if isinstance(targets, Boxes):
        return BoxSheet(classes)
    return MaskSheet(classes) if targets.ndim == 3 else LabelSheet(classes)


def of_image(i: int, batch: Batch, predictions: Any) -> tuple[Any, Any]:
    """Target and prediction of the i-th image as its sheet takes them, on the host.

    Masks without padding; boxes in pixels of the batch's image.
    """
    height, width, y, x = batch.frames[i].tolist()
    if isinstance(batch.targets, Boxes):
        target = batch.targets.take(batch.targets.image == i)
        found = predictions[i]
        found = found._replace(xyxy=found.xyxy / found.xyxy.new_tensor([x, y, x, y]))
        return Boxes(*(part.cpu() for part in target)), type(found)(*(part.cpu() for part in found))
    target, prediction = batch.targets[i].cpu(), predictions[i].cpu()
    if target.ndim == 2:
        whole = (slice(round(height * y)), slice(round(width * x)))
        return target[whole], prediction[whole]
    return target, prediction


def evenly(wanted: int, batch: int, batches: int, size: int) -> list[int]:
    """Which samples to take of one batch, so that `wanted` lie evenly over all.

    Args:
        wanted: samples of all batches; fewer are taken where batches have too few.
        batch: the number of this one.
        batches: how many there are.
        size: samples of this one.
    """
    # Sample i stands for the i-th of so many equal parts of the split, and lies in its middle.
    before, after = ((2 * n * wanted + batches) // (2 * batches) for n in (batch, batch + 1))
    count = min(after - before, size)
    return [(2 * j + 1) * size // (2 * count) for j in range(count)]


def denormalised(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """`(..., C, H, W)` normalised by `mean` and `std` (C numbers each) back to 0..1."""
    shape = (-1, 1, 1)
    return (images * torch.tensor(std).view(shape) + torch.tensor(mean).view(shape)).clamp(0, 1)


def _save(figure: "Figure", target: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)  # no window, no global state
    with replacing(target, 1_000_000) as part, part.open("wb") as file:
        figure.savefig(file, format="png", dpi=_DPI)

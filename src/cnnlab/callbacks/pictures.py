"""Pictures of a tested run: predictions beside the truth, and the confusion matrix."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from cnnlab.atomic import replacing
from cnnlab.callbacks.confusion_picture import confusion_picture, confusion_table
from cnnlab.callbacks.label_sheet import LabelSheet
from cnnlab.callbacks.mask_sheet import MaskSheet
from cnnlab.data.batch import Batch
from cnnlab.tracking.mirror import Mirror
from cnnlab.tracking.record import RunRecord

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 100
_MOST_ROWS = 4  # of a sheet of masks, which has a row an image


class Pictures(Callback):
    """Writes `pictures/predictions.png` and `pictures/confusion.png` after the test.

    The sheet shows the first `images` of the test split, of masks 4 at most, which are spread
    evenly over it, since neighbouring frames of a video look alike (of the first process's share).
    It reads from each test batch `images` (normalised), `targets`, `frames` and the step's
    `outputs["predictions"]`: logits `(B, K)`, with several labels an image where targets are
    `(B, K)`; class ids `(B, H, W)` where they are masks. The matrix is
    `pl_module.results["test/confusion"]`: truth in rows, `(K, K)`. Loggers that are a `Mirror` get
    both, the matrix as a table too.
    """

    def __init__(self, *, images: int) -> None:
        self.images = images
        self._sheet: LabelSheet | MaskSheet | None = None

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
        masks = batch.targets.ndim == 3
        if self._sheet is None:
            self._sheet = MaskSheet(data.classes) if masks else LabelSheet(data.classes)
        if masks:
            most = min(self.images, _MOST_ROWS)
            ids = evenly(most, batch_idx, int(trainer.num_test_batches[0]), len(batch.ids))
        else:
            ids = list(range(min(self.images - len(self._sheet), len(batch.ids))))
        for i in ids:
            # Without the padding.
            height, width, y, x = batch.frames[i].tolist()
            image = batch.images[i, :, : round(height), : round(width)].float().cpu()
            target, prediction = batch.targets[i].cpu(), outputs["predictions"][i].cpu()
            if masks:
                whole = (slice(round(height * y)), slice(round(width * x)))
                target, prediction = target[whole], prediction[whole]
            self._sheet.add(denormalised(image, data.mean, data.std), target, prediction)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        folder = RunRecord.of(trainer).folder
        assert folder is not None
        mirrors = [logger for logger in trainer.loggers if isinstance(logger, Mirror)]
        step = trainer.global_step  # where the test metrics stand
        if self._sheet:
            path = folder / "pictures" / "predictions.png"
            _save(self._sheet.draw(), path)
            for mirror in mirrors:
                mirror.log_images("test/predictions", [path], [self._sheet.caption], step)
        # nn.Module types attributes as Tensor or Module.
        counts = pl_module.results.get("test/confusion")  # type: ignore[operator, union-attr]
        if counts is not None:
            # Set by Lightning's connectors.
            classes = trainer.datamodule.classes  # type: ignore[attr-defined]
            masks = isinstance(self._sheet, MaskSheet)
            path = folder / "pictures" / "confusion.png"
            _save(confusion_picture(counts, classes, in_percent=masks), path)
            columns = ["truth", "predicted", "pixels" if masks else "images"]
            rows = confusion_table(counts, classes)
            for mirror in mirrors:
                mirror.log_images("test/confusion", [path], ["truth in rows"], step)
                mirror.log_table("test/confusion_table", columns, rows, step)


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

"""Pictures of a tested run: predictions beside the truth, and the confusion matrix."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from cnnlab.atomic import replacing
from cnnlab.data.batch import Batch
from cnnlab.tracking.mirror import Mirror
from cnnlab.tracking.record import RunRecord

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 100
_MOST_LABELS = 25  # classes up to which the confusion matrix can be read with names and counts
_MOST_TABLE_ROWS = 10_000  # of one W&B table


class _Example(NamedTuple):
    image: Tensor
    """float `(C, H, W)` in 0..1."""
    truth: str
    prediction: str
    right: bool


class Pictures(Callback):
    """Writes `pictures/predictions.png` and `pictures/confusion.png` after the test.

    The sheet shows the first `images` of the test split (of the first process's share of it). It
    reads from each test batch `images` (normalised), `targets` and the step's
    `outputs["predictions"]`: logits `(B, K)`, with several labels an image where targets are
    `(B, K)`. The matrix is `pl_module.results["test/confusion"]`: truth in rows, `(K, K)`.
    Loggers that are a `Mirror` get both, the matrix as a table too.
    """

    def __init__(self, *, images: int) -> None:
        self.images = images
        self._examples: list[_Example] = []

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._examples = []

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        wanted = self.images - len(self._examples)
        if wanted <= 0 or not trainer.is_global_zero:
            return
        # Set by Lightning's connectors.
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        images = denormalised(batch.images[:wanted].float().cpu(), data.mean, data.std)
        logits = outputs["predictions"][:wanted].float().cpu()
        targets = batch.targets[:wanted].cpu()
        frames = batch.frames[:wanted].cpu().int().tolist()
        for image, scores, target, frame in zip(images, logits, targets, frames, strict=True):
            valid = image[:, : frame[0], : frame[1]]  # without the padding
            self._examples.append(_example(valid, scores, target, data.classes))

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        folder = RunRecord.of(trainer).folder
        assert folder is not None
        mirrors = [logger for logger in trainer.loggers if isinstance(logger, Mirror)]
        step = trainer.global_step  # where the test metrics stand
        if self._examples:
            path = folder / "pictures" / "predictions.png"
            _save(_sheet(self._examples), path)
            wrong = sum(not example.right for example in self._examples)
            caption = f"{wrong} of {len(self._examples)} wrong"
            for mirror in mirrors:
                mirror.log_images("test/predictions", [path], [caption], step)
        # nn.Module types attributes as Tensor or Module.
        counts = pl_module.results.get("test/confusion")  # type: ignore[operator, union-attr]
        if counts is not None:
            # Set by Lightning's connectors.
            classes = trainer.datamodule.classes  # type: ignore[attr-defined]
            path = folder / "pictures" / "confusion.png"
            _save(_matrix(counts, classes), path)
            rows = _table(counts, classes)
            for mirror in mirrors:
                mirror.log_images("test/confusion", [path], ["truth in rows"], step)
                mirror.log_table(
                    "test/confusion_table", ["truth", "predicted", "images"], rows, step
                )


def denormalised(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """`(B, C, H, W)` normalised by `mean` and `std` (C numbers each) back to 0..1."""
    shape = (1, -1, 1, 1)
    return (images * torch.tensor(std).view(shape) + torch.tensor(mean).view(shape)).clamp(0, 1)


def _example(image: Tensor, logits: Tensor, target: Tensor, classes: Sequence[str]) -> _Example:
    if target.ndim:  # several labels an image
        truth, found = target > 0.5, logits > 0  # a probability above 0.5
        names = [
            ", ".join(classes[i] for i in labels.nonzero().flatten().tolist()) or "none"
            for labels in (truth, found)
        ]
        return _Example(image, names[0], names[1], bool((truth == found).all()))
    best = int(logits.argmax())
    share = float(logits.softmax(0)[best])
    return _Example(
        image, classes[int(target)], f"{classes[best]} ({share:.0%})", best == int(target)
    )


def _table(counts: Sequence[Sequence[float]], classes: Sequence[str]) -> list[list[Any]]:
    cells: list[list[Any]] = [
        [classes[i], classes[j], int(count)]
        for i, row in enumerate(counts)
        for j, count in enumerate(row)
        if count
    ]
    return sorted(cells, key=lambda cell: cell[2], reverse=True)[:_MOST_TABLE_ROWS]


def _sheet(examples: Sequence[_Example]) -> "Figure":
    from matplotlib.figure import Figure

    columns = min(8, len(examples))
    rows = -(-len(examples) // columns)
    figure = Figure(figsize=(1.6 * columns, 2.0 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.axis("off")
    for axis, example in zip(axes, examples, strict=False):
        pixels = example.image.permute(1, 2, 0).numpy()
        axis.imshow(
            pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels, cmap="gray", vmin=0, vmax=1
        )
        title = shorten(example.truth, 24)
        if not example.right:
            title += f"\nsaid {shorten(example.prediction, 24)}"
        axis.set_title(title, fontsize=8, color="black" if example.right else "red")
    return figure


def _matrix(counts: Sequence[Sequence[float]], classes: Sequence[str]) -> "Figure":
    from matplotlib.figure import Figure

    table = torch.tensor(counts, dtype=torch.float64)
    shares = table / table.sum(1, keepdim=True).clamp(min=1)  # of each true class
    side = min(max(4.0, 0.45 * len(classes)), 12.0)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axis = figure.subplots()
    picture = axis.imshow(shares.numpy(), cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(picture, ax=axis, label="share of the true class")
    axis.set(xlabel="predicted", ylabel="truth")
    if len(classes) <= _MOST_LABELS:
        ticks = range(len(classes))
        axis.set_xticks(ticks, classes, rotation=90)
        axis.set_yticks(ticks, classes)
        for i in ticks:
            for j in ticks:
                if table[i, j]:
                    dark = bool(shares[i, j] > 0.5)
                    number = f"{int(table[i, j])}"
                    colour = "white" if dark else "black"
                    axis.text(j, i, number, ha="center", va="center", fontsize=7, color=colour)
    return figure


def _save(figure: "Figure", target: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)  # no window, no global state
    with replacing(target, 1_000_000) as part, part.open("wb") as file:
        figure.savefig(file, format="png", dpi=_DPI)

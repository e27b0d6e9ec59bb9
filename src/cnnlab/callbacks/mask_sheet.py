"""Images with their masks, what the net made of each, and where it is wrong."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from cnnlab.callbacks.class_colours import class_colours
from cnnlab.callbacks.panel_sheet import MOST_ROWS, legend, panel_sheet, show
from cnnlab.pixels import IGNORE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TITLES = ("image", "truth", "prediction", "errors")
_RIGHT, _WRONG, _IGNORED = (np.array(c, np.uint8) for c in ([225] * 3, [225, 0, 25], [0] * 3))
_ALL_NAMED = 30  # classes up to which the legend has all of the set; then those in the sheet
_PANEL = 3.6  # inches wide


class _Row(NamedTuple):
    image: np.ndarray
    """uint8 `(H, W, 3)`."""
    truth: np.ndarray
    """Class ids uint8 `(H, W)`, 255 = ignore."""
    prediction: np.ndarray
    """Likewise, without 255."""
    ious: dict[int, float]
    """Of the classes in the truth, by id."""

    @property
    def mean_iou(self) -> float:
        return sum(self.ious.values()) / len(self.ious) if self.ious else float("nan")


class MaskSheet:
    """A row an image: the image, the truth, the prediction, the errors; one legend for all.

    Errors are red on a pale picture of the image, ignored pixels black. Under each row stand the
    mean IoU of that image, over the classes in its truth, and the class with the lowest.

    Args:
        classes: names by id.
    """

    most_rows: ClassVar[int | None] = MOST_ROWS

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = classes
        self._rows: list[_Row] = []

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def caption(self) -> str:
        """The mean IoU of each image."""
        return "mean IoU " + ", ".join(f"{row.mean_iou:.2f}" for row in self._rows)

    def add(self, image: Tensor, target: Tensor, prediction: Tensor) -> None:
        """Add an image float `(C, h, w)` in 0..1; it is resized to its mask.

        Args:
            image: without padding.
            target: class ids `(H, W)`, 255 = ignore, without padding.
            prediction: class ids `(H, W)`.
        """
        size = (target.shape[-2], target.shape[-1])
        resized = F.interpolate(image[None], size, mode="bilinear", antialias=True)[0]
        pixels = (resized.clamp(0, 1) * 255).byte().permute(1, 2, 0).expand(*size, 3).numpy()
        truth, found = target.byte().numpy(), prediction.byte().numpy()
        self._rows.append(_Row(pixels, truth, found, _ious(truth, found)))

    def draw(self) -> "Figure":
        """All that was added."""
        sheet = panel_sheet(
            _TITLES,
            [row.truth.shape for row in self._rows],
            [self._words(row) for row in self._rows],
            self._class_patches(),
            _PANEL,
        )
        for axes, row in zip(sheet.axes, self._rows, strict=True):
            for axis, pixels in zip(axes, self._panels(row), strict=True):
                show(axis, pixels)
        errors = [("right", _RIGHT), ("wrong", _WRONG), ("ignored", _IGNORED)]
        legend(sheet.figure, errors, len(errors), "upper right", sheet.right_below)  # their column
        return sheet.figure

    def _panels(self, row: _Row) -> list[np.ndarray]:
        """RGB uint8 `(H, W, 3)` in the order of the titles."""
        colours = np.zeros((256, 3), np.uint8)
        colours[: len(self.classes)] = class_colours(len(self.classes))
        colours[IGNORE] = _IGNORED
        grey = row.image.mean(2, keepdims=True)
        errors = np.broadcast_to(200 + grey * (50 / 255), row.image.shape).astype(np.uint8)
        errors[row.truth != row.prediction] = _WRONG
        errors[row.truth == IGNORE] = _IGNORED
        return [row.image, colours[row.truth], colours[row.prediction], errors]

    def _words(self, row: _Row) -> str:
        if not row.ious:
            return "no pixel counts"
        worst = min(row.ious, key=lambda id: row.ious[id])
        return f"mean IoU {row.mean_iou:.3f}    worst: {self.classes[worst]} {row.ious[worst]:.3f}"

    def _class_patches(self) -> list[tuple[str, np.ndarray]]:
        ids: Any = range(len(self.classes))
        if len(self.classes) > _ALL_NAMED:
            seen = [labels for row in self._rows for labels in (row.truth, row.prediction)]
            ids = np.unique(np.concatenate([np.unique(labels) for labels in seen]))
        colours = class_colours(len(self.classes))
        return [(self.classes[id], colours[id]) for id in ids if id != IGNORE]


def _ious(truth: np.ndarray, found: np.ndarray) -> dict[int, float]:
    counts = truth != IGNORE
    ious = {}
    for id in np.unique(truth[counts]).tolist():
        true, said = truth == id, (found == id) & counts
        ious[id] = float((true & said).sum() / (true | said).sum())
    return ious

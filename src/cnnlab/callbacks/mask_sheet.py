"""Images with their masks, what the net made of each, and where it is wrong."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from cnnlab.callbacks.class_colours import class_colours
from cnnlab.pixels import IGNORE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TITLES = ("image", "truth", "prediction", "errors")
_RIGHT, _WRONG, _IGNORED = (np.array(c, np.uint8) for c in ([225] * 3, [225, 0, 25], [0] * 3))
_ALL_NAMED = 30  # classes up to which the legend has all of the set; then those in the sheet

# In inches.
_PANEL, _TALLEST, _GAP, _EDGE = 3.6, 5.4, 0.06, 0.12
_TITLE, _UNDER, _ENTRY = 0.32, 0.34, 0.27


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
        from matplotlib.figure import Figure

        heights = [min(_PANEL * r.truth.shape[0] / r.truth.shape[1], _TALLEST) for r in self._rows]
        patches = self._class_patches()
        width = len(_TITLES) * (_PANEL + _GAP) - _GAP + 2 * _EDGE
        columns = _legend_columns([name for name, _ in patches], width)
        legend = _ENTRY * -(-len(patches) // columns)
        height = _TITLE + sum(heights) + len(heights) * _UNDER + legend + 2 * _EDGE
        figure = Figure(figsize=(width, height), facecolor="white")
        top = height - _EDGE - _TITLE
        for i, (row, high) in enumerate(zip(self._rows, heights, strict=True)):
            for j, pixels in enumerate(self._panels(row)):
                left = _EDGE + j * (_PANEL + _GAP)
                box = (left / width, (top - high) / height, _PANEL / width, high / height)
                axis = figure.add_axes(box)
                _show(axis, pixels)
                if i == 0:
                    axis.set_title(_TITLES[j], fontsize=13, pad=5)
            y = (top - high - _UNDER / 2.4) / height
            figure.text(_EDGE / width, y, self._words(row), fontsize=11, va="center")
            top -= high + _UNDER
        _legend(figure, patches, columns, "upper center", (0.5, (top - _EDGE / 2) / height))
        errors = [("right", _RIGHT), ("wrong", _WRONG), ("ignored", _IGNORED)]
        below = (1 - _EDGE / width, (top + _UNDER - _EDGE / 2) / height)  # their column
        _legend(figure, errors, len(errors), "upper right", below)
        return figure

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


def _show(axis: "Axes", pixels: np.ndarray) -> None:
    axis.imshow(pixels, interpolation="auto")
    axis.set(xticks=[], yticks=[])
    for spine in axis.spines.values():
        spine.set(color="0.75", linewidth=0.6)


def _legend(
    figure: "Figure",
    patches: Sequence[tuple[str, np.ndarray]],
    columns: int,
    loc: Literal["upper center", "upper right"],
    anchor: tuple[float, float],
) -> None:
    from matplotlib.patches import Patch

    # matplotlib fills column by column; read row by row, the order of the classes is plainer.
    order = [i for first in range(columns) for i in range(first, len(patches), columns)]
    handles = [
        Patch(
            facecolor="#" + patches[i][1].tobytes().hex(),
            edgecolor="0.6",
            linewidth=0.5,
            label=patches[i][0],
        )
        for i in order
    ]
    figure.legend(
        handles=handles,
        loc=loc,
        bbox_to_anchor=anchor,
        ncols=columns,
        fontsize=11,
        frameon=False,
        borderpad=0,
        borderaxespad=0,
        handlelength=1.4,
        handleheight=1.0,
        columnspacing=1.5,
    )


def _legend_columns(names: Sequence[str], width: float) -> int:
    """As many as the longest name leaves room for; 0.085 inches a letter at 11 points."""
    entry = 0.55 + 0.085 * max(map(len, names), default=1)
    most = max(1, int((width - 2 * _EDGE) / entry))
    rows = -(-len(names) // most)
    return max(1, -(-len(names) // max(rows, 1)))  # rows of even length

"""Images with their boxes beside the boxes that the net found."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from torch import Tensor

from cnnlab.callbacks.class_colours import class_colours
from cnnlab.callbacks.panel_sheet import MOST_ROWS, panel_sheet, show
from cnnlab.data.batch import Boxes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN_FROM = 0.3
"""The score from which a detection is drawn."""
MOST_SHOWN = 50
"""Detections drawn of an image, the surest."""

_TITLES = ("truth", f"found, score {SHOWN_FROM} or more")
_PANEL = 5.0  # inches wide
_ROOM, _LETTER = 0.17, 0.075  # inches: height of a box's words, width of a letter at most
_POINTS, _SMALL_POINTS = 8.0, 6.5  # of the words; the smaller where boxes are many
_NAMED = 12  # boxes in a panel that are few; of more detections the surest so many are named
_LONGEST = 10  # letters of a class's name where boxes are many


class _Row(NamedTuple):
    image: np.ndarray
    """uint8 `(H, W, 3)`."""
    true: np.ndarray
    """xyxy `(N, 4)`, in pixels of the image."""
    true_label: np.ndarray
    """`(N,)`."""
    crowd: np.ndarray
    """bool `(N,)`."""
    found: np.ndarray
    """xyxy `(D, 4)`, the surest first."""
    score: np.ndarray
    """`(D,)`."""
    found_label: np.ndarray
    """`(D,)`."""

    @property
    def shown(self) -> int:
        """How many of the detections are drawn."""
        return min(int((self.score >= SHOWN_FROM).sum()), MOST_SHOWN)


class BoxSheet:
    """A row an image: the true boxes, those found with their scores; one legend for all.

    The colour is that of the class; crowds are dashed. Detections below `SHOWN_FROM` and after the
    `MOST_SHOWN` surest are left out; under each row stands how many there are. True boxes have
    their class written on them, detections class and score; where boxes are many, in small letters
    and briefly, and only the score of those after the 12 surest.

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
        """Objects and detections drawn, of each image."""
        pairs = [f"{row.shown} for {len(row.true) - row.crowd.sum()}" for row in self._rows]
        return f"detections from score {SHOWN_FROM} for objects: {', '.join(pairs)}"

    def add(self, image: Tensor, target: Boxes, prediction: Any) -> None:
        """Add an image float `(C, H, W)` in 0..1.

        Args:
            image: without padding.
            target: its boxes, in its pixels.
            prediction: `xyxy` `(D, 4)` likewise, `score` `(D,)`, `label` `(D,)`.
        """
        height, width = image.shape[-2:]
        pixels = (image * 255).byte().permute(1, 2, 0).expand(height, width, 3).numpy()
        order = prediction.score.argsort(descending=True, stable=True)
        found = (getattr(prediction, name)[order].numpy() for name in ("xyxy", "score", "label"))
        true = (part.numpy() for part in (target.xyxy, target.label, target.crowd))
        self._rows.append(_Row(pixels, *true, *found))

    def draw(self) -> "Figure":
        """All that was added."""
        colours = class_colours(len(self.classes))
        seen = [(row.true_label, row.found_label[: row.shown]) for row in self._rows]
        ids = np.unique(np.concatenate([labels for pair in seen for labels in pair])).tolist()
        sheet = panel_sheet(
            _TITLES,
            [row.image.shape[:2] for row in self._rows],
            [_words(row) for row in self._rows],
            [(self.classes[id], colours[id]) for id in ids],
            _PANEL,
        )
        for (true, found), row in zip(sheet.axes, self._rows, strict=True):
            show(true, row.image)
            show(found, row.image)
            many = len(row.true) > _NAMED
            # The largest first, so that no box hides behind another's words.
            for i in np.argsort(-_area(row.true), kind="stable"):
                id = row.true_label[i]
                says = _brief(self.classes[id]) if many else self.classes[id]
                _draw(true, row.true[i], colours[id], says, many, dashed=bool(row.crowd[i]))
            shown = row.found[: row.shown]
            many = len(shown) > _NAMED
            # And the surest last, which are named.
            is_named = np.arange(len(shown)) < _NAMED
            for i in np.lexsort((-_area(shown), is_named)):
                id, says = row.found_label[i], f"{row.score[i]:.2f}"
                if many:
                    says = says.removeprefix("0")
                if is_named[i]:
                    name = self.classes[id]
                    says = f"{_brief(name) if many else name} {says}"
                _draw(found, shown[i], colours[id], says, many, dashed=False)
        return sheet.figure


def _words(row: _Row) -> str:
    crowds = int(row.crowd.sum())
    objects = _counted(len(row.true) - crowds, "object")
    if crowds:
        objects += f" and {_counted(crowds, 'crowd')} (dashed)"
    if not len(row.score):
        return f"{objects};  nothing found"
    return (
        f"{objects};  {row.shown} of {len(row.score)} detections drawn (surest {row.score[0]:.2f})"
    )


def _brief(name: str) -> str:
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _area(xyxy: np.ndarray) -> np.ndarray:
    size: np.ndarray = xyxy[:, 2:] - xyxy[:, :2]
    return size.prod(1)


def _draw(
    axis: "Axes", box: np.ndarray, colour: np.ndarray, says: str, many: bool, dashed: bool
) -> None:
    from matplotlib.patches import Rectangle

    x1, y1, x2, y2 = box.tolist()
    edge = "#" + colour.tobytes().hex()
    axis.add_patch(
        Rectangle(
            (x1, y1),
            x2 - x1,
            y2 - y1,
            fill=False,
            edgecolor=edge,
            linewidth=1.2 if many else 1.8,
            linestyle="--" if dashed else "-",
        )
    )
    points = _SMALL_POINTS if many else _POINTS
    bright = colour @ np.array([0.299, 0.587, 0.114]) > 140
    # On top of the box from its left; inside where there is no room above, to the left of its
    # right end where there is none beside. A box that leaves the image keeps its words.
    width = axis.get_xlim()[1]
    scale = width / _PANEL * points / _POINTS
    x, y = max(x1, 0.0), max(y1, 0.0)
    fits = x + _LETTER * len(says) * scale <= width
    axis.text(
        x if fits else min(max(x2, x), width),
        y,
        says,
        fontsize=points,
        color="black" if bright else "white",
        ha="left" if fits else "right",
        va="bottom" if y > _ROOM * scale else "top",
        clip_on=True,
        bbox={"facecolor": edge, "edgecolor": "none", "pad": 0.6 if many else 1.0, "alpha": 0.85},
    )

"""Images with their labels and what the net said of each."""

from collections.abc import Sequence
from textwrap import shorten
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class _Example(NamedTuple):
    image: Tensor
    truth: str
    prediction: str
    right: bool


class LabelSheet:
    """Eight images a row; wrong ones have a red title.

    Args:
        classes: names by id.
    """

    most_rows: ClassVar[int | None] = None

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = classes
        self._examples: list[_Example] = []

    def __len__(self) -> int:
        return len(self._examples)

    @property
    def caption(self) -> str:
        """How many are wrong."""
        wrong = sum(not example.right for example in self._examples)
        return f"{wrong} of {len(self)} wrong"

    def add(self, image: Tensor, target: Tensor, prediction: Tensor) -> None:
        """Add an image float `(C, H, W)` in 0..1.

        Args:
            image: without padding.
            target: class id `()`, or float `(K,)` of 0 and 1 for several labels an image.
            prediction: logits `(K,)`.
        """
        logits, classes = prediction.float(), self.classes
        if target.ndim:
            truth, found = target > 0.5, logits > 0  # a probability above 0.5
            names = [
                ", ".join(classes[i] for i in labels.nonzero().flatten().tolist()) or "none"
                for labels in (truth, found)
            ]
            right = bool((truth == found).all())
            self._examples.append(_Example(image, names[0], names[1], right))
            return
        best = int(logits.argmax())
        said = f"{classes[best]} ({float(logits.softmax(0)[best]):.0%})"
        self._examples.append(_Example(image, classes[int(target)], said, best == int(target)))

    def draw(self) -> "Figure":
        """All that was added."""
        from matplotlib.figure import Figure

        columns = min(8, len(self))
        rows = -(-len(self) // columns)
        figure = Figure(figsize=(1.6 * columns, 2.0 * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axis in axes:
            axis.axis("off")
        for axis, example in zip(axes, self._examples, strict=False):
            pixels = example.image.permute(1, 2, 0).numpy()
            axis.imshow(
                pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels, cmap="gray", vmin=0, vmax=1
            )
            title = shorten(example.truth, 24)
            if not example.right:
                title += f"\nsaid {shorten(example.prediction, 24)}"
            axis.set_title(title, fontsize=8, color="black" if example.right else "red")
        return figure

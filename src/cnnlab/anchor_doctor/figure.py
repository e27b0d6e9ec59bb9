"""A diagnosis as a figure: which boxes are missed, by which anchors, at which size."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cnnlab.anchor_doctor.diagnosis import ENOUGH, Diagnosis, recall
from cnnlab.boxes.coverage import Coverage
from cnnlab.boxes.geometry import area
from cnnlab.errors import UserError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FORMATS = ("png", "pdf", "svg")
_MOST_POINTS = 4000  # boxes in a panel, evenly spaced in the sample: more are one grey blot
_FOUND, _MISSED = "#9aa0a6", "#d62728"
_LEVELS = ("#1f77b4", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b", "#17becf", "#e377c2")
_BINS_AN_OCTAVE = 2


def refuse(file: Path) -> None:
    """Stop before the work where a figure could not be written.

    Raises:
        UserError: another format, or no such folder.
    """
    if file.suffix.removeprefix(".") not in _FORMATS:
        raise UserError(f"--figure {file}: must end with .{', .'.join(_FORMATS)}")
    if not file.resolve().parent.is_dir():
        raise UserError(f"--figure {file}: no such folder: {file.resolve().parent}")


def draw(found: Diagnosis) -> "Figure":
    """Three panels: the boxes under the present anchors, under the fitted ones, and the recalls."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 5.4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    own = [level.shapes for level in found.levels]
    strides = [f"stride {max(level.step):.3g}" for level in found.levels]
    for axis, shapes, covered, title in (
        (left, own, found.now, "these anchors"),
        (middle, found.shapes, found.fitted, "fitted anchors (k-means)"),
    ):
        _scatter(axis, found.train.sides, covered.train, shapes, strides)
        axis.set_title(f"{title}: {recall(covered.train):.1%} recalled")
    _share_limits(left, middle, torch.cat([found.train.sides, *own, *found.shapes]))
    _recall_by_side(right, found)
    figure.suptitle(
        f"{len(found.train.xyxy):,} boxes of {len(found.train.id):,} training images, in the pixels"
        f" that the net sees. Recalled: IoU of {ENOUGH} or more with some anchor"
    )
    return figure


def _scatter(
    axis: "Axes", sides: Tensor, found: Coverage, shapes: Sequence[Tensor], strides: Sequence[str]
) -> None:
    """Widths and heights of boxes as points and of anchors as crosses."""
    step = max(1, len(sides) // _MOST_POINTS)
    some, missed = sides[::step], (found.iou < ENOUGH)[::step]
    for which, colour, size, label in (
        (~missed, _FOUND, 8, "box, recalled"),
        (missed, _MISSED, 16, "box, missed"),
    ):
        x, y = some[which].T.tolist()
        axis.scatter(x, y, s=size, c=colour, alpha=0.6, linewidths=0, label=label)
    for number, (level, stride) in enumerate(zip(shapes, strides, strict=True)):
        x, y = level.T.tolist()
        colour = _LEVELS[number % len(_LEVELS)]
        # White below, so that a cross stands out from the points.
        axis.scatter(x, y, s=75, c="white", marker="P", linewidths=0)
        axis.scatter(x, y, s=45, c=colour, marker="P", linewidths=0, label=f"anchor, {stride}")
    axis.set(xlabel="width in pixels", ylabel="height in pixels", xscale="log", yscale="log")
    axis.set_aspect("equal")
    axis.legend(fontsize=8, loc="upper left")


def _share_limits(left: "Axes", right: "Axes", sides: Tensor) -> None:
    from matplotlib.ticker import LogLocator, NullLocator, ScalarFormatter

    low, high = float(sides.min()) / 1.2, float(sides.max()) * 1.2
    for axis in (left, right):
        axis.set(xlim=(low, high), ylim=(low, high))
        for scale in (axis.xaxis, axis.yaxis):
            scale.set_major_locator(LogLocator(base=2))
            scale.set_minor_locator(NullLocator())
            scale.set_major_formatter(ScalarFormatter())
        axis.grid(alpha=0.25)


def _recall_by_side(axis: "Axes", found: Diagnosis) -> None:
    """Recall of either anchors in half octaves of the side, over a histogram of the boxes."""
    from matplotlib.ticker import LogLocator, NullLocator, PercentFormatter, ScalarFormatter

    place = (area(found.train.xyxy).sqrt().clamp(min=1).log2() * _BINS_AN_OCTAVE).floor()
    bins = place.unique()
    shares = [float((place == b).float().mean()) for b in bins]
    edges = [2 ** (float(b) / _BINS_AN_OCTAVE) for b in bins]
    widths = [(2 ** (1 / _BINS_AN_OCTAVE) - 1) * edge for edge in edges]
    middles = [edge * 2 ** (0.5 / _BINS_AN_OCTAVE) for edge in edges]
    axis.bar(edges, shares, widths, align="edge", color="#dadce0", label="share of the boxes")
    for covered, colour, mark, label in (
        (found.now.train, "#202124", "o", "recall, these anchors"),
        (found.fitted.train, "#1a73e8", "s", "recall, fitted anchors"),
    ):
        hit = (covered.iou >= ENOUGH).float()
        values = [float(hit[place == b].mean()) for b in bins]
        axis.plot(middles, values, color=colour, marker=mark, label=label)
    axis.set(
        xlabel="side of the box in pixels (root of its area)", xscale="log", ylim=(-0.02, 1.03)
    )
    axis.set_title("recall by size of the box")
    axis.xaxis.set_major_locator(LogLocator(base=2))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(ScalarFormatter())
    axis.yaxis.set_major_formatter(PercentFormatter(1.0))
    axis.grid(alpha=0.25, axis="y")
    axis.legend(fontsize=8, loc="best")

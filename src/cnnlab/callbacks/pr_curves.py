"""Precision against recall, a curve a class."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cnnlab.callbacks.class_colours import class_colours

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_NAMED = 10  # classes up to which all have their colour; of more the worst have
_WORST = 5


def pr_curves(precision: Sequence[Sequence[float]], classes: Sequence[str]) -> "Figure":
    """The curves at IoU 0.5 with their areas, and the mean of all.

    Of many classes the five with the smallest area have a colour, the others are grey. A class
    without objects has no curve.

    Args:
        precision: `(K, 101)`, at the recalls 0, 0.01 .. 1; NaN of classes without objects.
        classes: names by id.
    """
    from matplotlib.figure import Figure

    curves = np.array(precision, float)
    present = np.nonzero(~np.isnan(curves).any(1))[0]
    recalls = np.linspace(0, 1, curves.shape[1])
    areas = curves[present].mean(1)  # AP as COCO averages it
    colours = class_colours(len(classes)) / 255
    figure = Figure(figsize=(9.6, 5.6), facecolor="white", layout="constrained")
    axis = figure.subplots()
    axis.set(
        xlabel="recall: share of the objects that are found",
        ylabel="precision: share of the detections that are right",
        xlim=(0, 1.005),
        ylim=(0, 1.02),
        title="precision and recall at IoU 0.5",
    )
    axis.grid(color="0.9")
    axis.set_axisbelow(True)
    if not len(present):
        axis.text(0.5, 0.5, "no objects", ha="center")
        return figure
    few = len(present) <= _MOST_NAMED
    named = present if few else present[np.argsort(areas, kind="stable")[:_WORST]]
    if not few:
        grey = [k for k in present if k not in named]
        axis.plot(recalls, curves[grey].T, color="0.8", linewidth=0.8)
    for k in named:
        label = f"{classes[k]}  {curves[k].mean():.3f}"
        axis.plot(recalls, curves[k], color=colours[k], linewidth=1.8, label=label)
    if len(present) > 1:
        mean = f"mean of {len(present)} classes  {areas.mean():.3f}"
        axis.plot(recalls, curves[present].mean(0), color="black", linewidth=2.4, label=mean)
    figure.legend(
        loc="outside right upper",
        title="AP at IoU 0.5" if few else f"AP at IoU 0.5, the {_WORST} worst",
        frameon=False,
        alignment="left",
    )
    return figure

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from cnnlab.callbacks.pr_curves import pr_curves

NAN = float("nan")


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_each_class_has_its_curve_and_its_area():
    """A class without objects has none, and is not in the mean."""
    right_to_half = [1.0] * 51 + [0.0] * 50
    figure = pr_curves([[0.5] * 101, [NAN] * 101, right_to_half], ["cat", "dog", "bird"])
    FigureCanvasAgg(figure).draw()
    lines = {line.get_label().split("  ")[0]: line for line in figure.axes[0].lines}
    assert legend(figure) == ["cat  0.500", "bird  0.505", "mean of 2 classes  0.502"]
    recall, precision = lines["bird"].get_data()
    assert recall[[0, 50, 51, 100]].tolist() == pytest.approx([0, 0.5, 0.51, 1])
    assert precision[[0, 50, 51, 100]].tolist() == [1, 1, 0, 0]
    assert lines["mean of 2 classes"].get_ydata()[[0, 60]].tolist() == [0.75, 0.25]


def test_of_many_classes_the_worst_are_named():
    curves = np.linspace(1, 0, 40)[:, None].repeat(101, 1)
    figure = pr_curves(curves.tolist(), [f"class {k}" for k in range(40)])
    FigureCanvasAgg(figure).draw()
    named = [f"class {k}" for k in (39, 38, 37, 36, 35)]
    assert [text.split("  ")[0] for text in legend(figure)] == [*named, "mean of 40 classes"]
    assert len(figure.axes[0].lines) == 41


def test_without_objects_there_is_no_curve():
    figure = pr_curves([[NAN] * 101] * 3, ["a", "b", "c"])
    FigureCanvasAgg(figure).draw()
    assert not figure.axes[0].lines
    assert figure.axes[0].texts[0].get_text() == "no objects"

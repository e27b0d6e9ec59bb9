"""What is drawn, read from the pixels of the figure."""

from collections import namedtuple

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb

from cnnlab.callbacks.box_sheet import MOST_SHOWN, BoxSheet
from cnnlab.data.batch import Boxes

Found = namedtuple("Found", "xyxy score label")
CLASSES = ["cat", "dog", "bird"]
COLOURS = [(31, 119, 180), (255, 127, 14), (44, 160, 44)]  # matplotlib's tab:blue, orange, green


def boxes(*rows, crowds=()) -> Boxes:
    """Rows `(x1, y1, x2, y2, class)`."""
    table = torch.tensor(rows, dtype=torch.float32).view(-1, 5)
    crowd = torch.zeros(len(table), dtype=torch.bool)
    crowd[list(crowds)] = True
    label = table[:, 4].long()
    return Boxes(table[:, :4], label, torch.zeros_like(label), crowd, torch.ones(len(table)))


def found(*rows) -> Found:
    """Rows `(x1, y1, x2, y2, class, score)`."""
    table = torch.tensor(rows, dtype=torch.float32).view(-1, 6)
    return Found(table[:, :4], table[:, 5], table[:, 4].long())


def drawn(sheet: BoxSheet):
    figure = sheet.draw()
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return figure, np.asarray(canvas.buffer_rgba())[..., :3].astype(int)


def colour_at(figure, pixels, panel, x, y):
    """The pixel of the figure where the point (x, y) of a panel's image is."""
    column, row = figure.axes[panel].transData.transform((x, y))
    return tuple(pixels[round(len(pixels) - row), round(column)])


def near(a, b):
    return max(abs(i - j) for i, j in zip(a, b, strict=True)) < 40


def grey(height=80, width=120):
    return torch.full((1, height, width), 0.5)


def test_boxes_are_drawn_where_they_are():
    sheet = BoxSheet(CLASSES)
    true = boxes((20, 30, 60, 70, 1))
    sheet.add(grey(), true, found((30, 40, 100, 60, 2, 0.9)))
    figure, pixels = drawn(sheet)
    assert [axis.get_title() for axis in figure.axes] == ["truth", "found, score 0.3 or more"]
    sides = {
        0: (COLOURS[1], [(20, 50), (60, 50), (40, 70), (45, 30)]),
        1: (COLOURS[2], [(30, 50), (100, 50), (65, 60), (80, 40)]),
    }
    for panel, (colour, points) in sides.items():
        other = 1 - panel
        for x, y in points:
            assert near(colour_at(figure, pixels, panel, x, y), colour), (panel, x, y)
            assert not near(colour_at(figure, pixels, other, x, y), colour), (other, x, y)
    for x, y in ((40, 50), (10, 50), (110, 75)):
        assert near(colour_at(figure, pixels, 0, x, y), (127, 127, 127)), "the image, elsewhere"


def test_the_surest_above_the_score_are_drawn_with_class_and_score():
    sheet = BoxSheet(CLASSES)
    said = found(
        (5, 20, 15, 30, 0, 0.29), (10, 50, 40, 70, 0, 0.3), (50, 50, 90, 70, 2, 0.875)
    )  # the second score is just enough
    sheet.add(grey(), boxes(), said)
    figure, pixels = drawn(sheet)
    assert {text.get_text() for text in figure.axes[1].texts} == {"cat 0.30", "bird 0.88"}
    assert not figure.axes[0].texts
    assert near(colour_at(figure, pixels, 1, 5, 25), (127, 127, 127))
    assert sheet.caption == "detections from score 0.3 for objects: 2 for 0"
    assert figure.texts[0].get_text() == "0 objects;  2 of 3 detections drawn (surest 0.88)"


def test_of_many_boxes_the_surest_are_named_and_there_is_a_limit():
    sheet = BoxSheet(["cat", "hippopotamus"])
    many = [(i, 40, i + 5, 50, i % 2, 0.3 + i / 100) for i in range(MOST_SHOWN + 9)]
    sheet.add(grey(), boxes(*(row[:5] for row in many)), found(*many))
    figure, _ = drawn(sheet)
    said = [text.get_text() for text in figure.axes[1].texts]
    assert len(said) == MOST_SHOWN
    names = {0: "cat", 1: "hippopota…"}
    named = [text for text in said if " " in text]
    assert sorted(named) == sorted(f"{names[i % 2]} .{30 + i}" for i in range(47, 59))
    assert said[-12:] == named, "on top of the others"
    assert min(text for text in said if text not in named) == ".39", "the least sure are left out"
    assert {text.get_text() for text in figure.axes[0].texts} == set(names.values())
    assert len(figure.axes[0].texts) == len(many)
    assert max(text.get_fontsize() for text in figure.axes[1].texts) < 7


def test_the_legend_names_the_classes_in_the_sheet():
    sheet = BoxSheet(CLASSES)
    sheet.add(grey(), boxes((0, 0, 9, 9, 2)), found((0, 0, 9, 9, 1, 0.9), (0, 0, 9, 9, 0, 0.1)))
    figure, _ = drawn(sheet)
    (legend,) = figure.legends
    said = {
        text.get_text(): tuple(round(255 * level) for level in to_rgb(patch.get_facecolor()))
        for text, patch in zip(legend.get_texts(), legend.get_patches(), strict=True)
    }
    assert said == {"dog": COLOURS[1], "bird": COLOURS[2]}


def test_crowds_are_dashed_and_said():
    sheet = BoxSheet(CLASSES)
    sheet.add(grey(), boxes((10, 10, 50, 60, 0), (60, 20, 90, 60, 0), crowds=[1]), found())
    figure, _ = drawn(sheet)
    assert {patch.get_linestyle() for patch in figure.axes[0].patches} == {"-", "--"}
    assert figure.texts[0].get_text() == "1 object and 1 crowd (dashed);  nothing found"


def test_words_stay_in_the_picture():
    """At the upper edge they are inside their box, at the right one left of its end."""
    sheet = BoxSheet([*CLASSES, "an animal with a longer name"])
    true = [(0, 0, 60, 40, 0), (30, -5, 70, 60, 1), (60, 3, 90, 60, 2), (100, 50, 119, 70, 3)]
    sheet.add(grey(), boxes(*true), found())
    figure, _ = drawn(sheet)
    panel = figure.axes[0].get_window_extent()
    assert len(figure.axes[0].texts) == 4
    for text in figure.axes[0].texts:
        place = text.get_window_extent()
        assert place.y1 <= panel.y1 + 2, text.get_text()
        assert place.x1 <= panel.x1 + 2, text.get_text()


@pytest.mark.parametrize("size", [(400, 20), (20, 400), (1, 1)])
def test_any_shape_of_image_fits_even_without_a_box(size):
    sheet = BoxSheet(CLASSES)
    sheet.add(torch.rand(3, *size), boxes(), found())
    figure, pixels = drawn(sheet)
    assert max(pixels.shape) < 2000
    for part in (*figure.axes, *figure.texts):
        box = part.get_window_extent()
        assert min(box.x0, box.y0) >= -1
        assert box.x1 <= figure.bbox.x1 + 1

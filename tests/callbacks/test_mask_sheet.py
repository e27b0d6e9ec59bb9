import io

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from PIL import Image

from cnnlab.callbacks.class_colours import class_colours
from cnnlab.callbacks.mask_sheet import MaskSheet
from cnnlab.pixels import IGNORE

CLASSES = ["sky", "road", "car"]
SKY, ROAD, CAR = ([int(level) for level in colour] for colour in class_colours(3))
RED, BLACK, PALE = [225, 0, 25], [0, 0, 0], [225, 225, 225]


def quarters():
    """Truth: sky, road / car, ignored. Said: sky, sky / car, road."""
    truth = torch.tensor([[0, 1], [2, IGNORE]]).repeat_interleave(50, 0).repeat_interleave(50, 1)
    found = torch.tensor([[0, 0], [2, 1]]).repeat_interleave(50, 0).repeat_interleave(50, 1)
    return truth, found


def drawn(sheet):
    """The pixels as saved, and where the panels of each row lie in them."""
    figure = sheet.draw()
    FigureCanvasAgg(figure)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=100)
    pixels = np.asarray(Image.open(file).convert("RGB"))
    return figure, pixels


def middles(figure, pixels, panel):
    """Colours in the middle of the four quarters of a panel."""
    box = figure.axes[panel].get_position()
    height, width = pixels.shape[:2]
    return [
        pixels[
            round((1 - box.y0 - v * box.height) * height), round((box.x0 + u * box.width) * width)
        ].tolist()
        for v in (0.75, 0.25)
        for u in (0.25, 0.75)
    ]


def test_panels_show_image_truth_prediction_and_errors():
    sheet = MaskSheet(CLASSES)
    image = torch.tensor([1.0, 0.0, 1.0]).view(3, 1, 1).repeat(1, 25, 25)  # seen at half its size
    sheet.add(image, *quarters())
    figure, pixels = drawn(sheet)
    assert [axis.get_title() for axis in figure.axes] == ["image", "truth", "prediction", "errors"]
    assert middles(figure, pixels, 0) == [[255, 0, 255]] * 4
    assert middles(figure, pixels, 1) == [SKY, ROAD, CAR, BLACK]
    assert middles(figure, pixels, 2) == [SKY, SKY, CAR, ROAD]
    right, wrong, also_right, ignored = middles(figure, pixels, 3)
    assert right == also_right
    assert min(right) > 180, "pale"
    assert max(right) == min(right), "grey"
    assert (wrong, ignored) == (RED, BLACK)
    assert pixels[0, 0].tolist() == [255, 255, 255]


def test_one_legend_names_the_colours():
    sheet = MaskSheet(CLASSES)
    for _ in range(3):
        sheet.add(torch.rand(3, 50, 50), *quarters())
    figure, _ = drawn(sheet)
    said = {
        text.get_text(): [round(255 * level) for level in to_rgb(patch.get_facecolor())]
        for legend in figure.legends
        for text, patch in zip(legend.get_texts(), legend.get_patches(), strict=True)
    }
    names = {"sky": SKY, "road": ROAD, "car": CAR}
    assert said == names | {"right": PALE, "wrong": RED, "ignored": BLACK}


def test_each_row_has_its_mean_and_its_worst_class():
    """By hand: of 2500 pixels each, sky 1/2, road 0, car 1; ignored ones count nowhere."""
    sheet = MaskSheet(CLASSES)
    truth, found = quarters()
    sheet.add(torch.rand(1, 50, 50), truth, found)
    sheet.add(torch.rand(1, 50, 50), truth, truth.where(truth != IGNORE, 0))
    sheet.add(torch.rand(1, 50, 50), torch.full_like(truth, IGNORE), found)
    assert sheet.caption == "mean IoU 0.50, 1.00, nan"
    figure, _ = drawn(sheet)
    first, second, third = (text.get_text() for text in figure.texts)
    assert first.split() == ["mean", "IoU", "0.500", "worst:", "road", "0.000"]
    assert second.split()[:3] == ["mean", "IoU", "1.000"]
    assert third == "no pixel counts"


def test_of_many_classes_the_legend_has_those_that_occur():
    sheet = MaskSheet([f"class {i}" for i in range(150)])
    truth, found = quarters()
    sheet.add(torch.rand(3, 50, 50), truth.where(truth != 2, 149), found)
    figure, _ = drawn(sheet)
    names = {text.get_text() for text in figure.legends[0].get_texts()}
    assert names == {"class 0", "class 1", "class 2", "class 149"}


def test_the_legend_reads_row_by_row():
    names = [f"c{i}" for i in range(25)]
    sheet = MaskSheet(names)
    sheet.add(torch.rand(3, 50, 50), *quarters())
    figure, _ = drawn(sheet)
    texts = figure.legends[0].get_texts()
    where = {t.get_text(): t.get_window_extent() for t in texts}
    lines = sorted(names, key=lambda name: (-round(where[name].y0), where[name].x0))
    assert lines == names


@pytest.mark.parametrize("size", [(400, 20), (20, 400), (1, 1)])
def test_any_shape_of_image_fits(size):
    sheet = MaskSheet(CLASSES)
    sheet.add(torch.rand(3, *size), *torch.randint(3, (2, *size)))
    figure, pixels = drawn(sheet)
    assert max(pixels.shape) < 2000
    inside = figure.bbox
    for part in (*figure.axes, *figure.legends, *figure.texts):
        box = part.get_window_extent()
        assert box.x0 >= -1
        assert box.y0 >= -1
        assert box.x1 <= inside.x1 + 1
        assert box.y1 <= inside.y1 + 1

import itertools

import numpy as np
from matplotlib import colormaps

from cnnlab.callbacks.class_colours import class_colours


def test_twenty_are_tableaus_strong_ones_first():
    tab20 = np.round(255 * np.array(colormaps["tab20"].colors)).astype(np.uint8)
    assert np.array_equal(class_colours(20), np.concatenate([tab20[::2], tab20[1::2]]))


def test_more_are_those_of_voc():
    """As the development kit lists them for ids 20 and 255."""
    colours = class_colours(256)
    assert colours[20].tolist() == [0, 64, 128]
    assert colours[255].tolist() == [224, 224, 192]


def test_a_class_keeps_its_colour_and_shares_it_with_none():
    assert np.array_equal(class_colours(255)[:11], class_colours(11))
    colours = [tuple(colour) for colour in class_colours(255).tolist()]
    assert len(set(colours)) == 255
    assert (0, 0, 0) not in colours  # what is ignored


def test_few_classes_are_told_apart():
    for one, other in itertools.combinations(class_colours(20).astype(int), 2):
        assert np.abs(one - other).sum() >= 30

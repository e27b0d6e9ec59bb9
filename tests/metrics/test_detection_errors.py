"""Cases by hand: boxes of 10 x 10 pixels, moved sideways by d, overlap by (10 - d) / (10 + d)."""

import numpy as np
import pytest

from cnnlab.metrics.box_tables import FoundTable, TrueTable
from cnnlab.metrics.detection_errors import KINDS, count_errors

CAT, DOG, BIRD = range(3)


def at(x, image=0):
    """A square of 10 pixels, x to the right of the image's edge."""
    return [x, 0, x + 10, 10], image


def counts(found, true, crowds=()):
    """Errors by kind and class, those above 0, of rows `(at(x), class[, score])`."""
    by_image = sorted(found, key=lambda row: row[0][1])
    boxes, images = zip(*(row[0] for row in by_image), strict=True) if found else ([], [])
    said = FoundTable(
        np.array(boxes, float).reshape(-1, 4),
        np.array([row[2] for row in by_image], float),
        np.array([row[1] for row in by_image], int),
        np.array(images, int),
    )
    boxes, images = zip(*(row[0] for row in true), strict=True) if true else ([], [])
    crowd = np.isin(np.arange(len(true)), crowds)
    table = TrueTable(
        np.array(boxes, float).reshape(-1, 4),
        np.array([row[1] for row in true], int),
        np.array(images, int),
        crowd,
        np.full(len(true), 100.0),
    )
    errors = count_errors(said, table, 3)
    assert errors.shape == (len(KINDS), 3)
    return {
        (kind, k): int(n)
        for kind, row in zip(KINDS, errors, strict=True)
        for k, n in enumerate(row)
        if n
    }


def test_all_right():
    true = [(at(0), CAT), (at(50), DOG), (at(0, 1), CAT)]
    found = [(at(3), CAT, 0.3), (at(50), DOG, 0.2), (at(1, 1), CAT, 0.9)]
    assert counts(found, true) == {}


@pytest.mark.parametrize(
    ("x", "said", "kinds"),
    [
        (3, CAT, {}),  # 7 / 13
        (4, CAT, {("localisation", CAT): 1}),  # 6 / 14; the object is not missed as well
        (8, CAT, {("localisation", CAT): 1}),  # 2 / 18
        (9, CAT, {("background", CAT): 1, ("missed", CAT): 1}),  # 1 / 19
    ],
)
def test_a_place_that_is_off(x, said, kinds):
    assert counts([(at(x), said, 0.9)], [(at(0), CAT)]) == kinds


def test_another_class_is_a_confusion_however_well_placed():
    """A dog elsewhere, so that one detection of dogs is judged."""
    true = [(at(0), CAT), (at(100), DOG)]
    assert counts([(at(0), DOG, 0.9)], true) == {("confusion", DOG): 1, ("missed", DOG): 1}
    assert counts([(at(8), DOG, 0.9)], true) == {("confusion", DOG): 1, ("missed", DOG): 1}
    assert counts([(at(9), DOG, 0.9)], true) == {
        ("background", DOG): 1,
        ("missed", DOG): 1,
        ("missed", CAT): 1,
    }


def test_the_second_on_an_object_is_a_duplicate():
    true = [(at(0), CAT), (at(100), CAT)]
    found = [(at(1), CAT, 0.8), (at(0), CAT, 0.7)]
    assert counts(found, true) == {("duplicate", CAT): 1, ("missed", CAT): 1}


def test_the_own_class_goes_before_another():
    """Beside a cat and right on a dog: a cat that is badly placed; the dog is missed."""
    true = [(at(0), CAT), (at(7), DOG)]
    assert counts([(at(7), CAT, 0.9)], true) == {("localisation", CAT): 1, ("missed", DOG): 1}


def test_judged_are_as_many_as_there_are_objects():
    """The two surest of cats over all images; what comes after is neither right nor wrong."""
    true = [(at(0), CAT), (at(0, 1), CAT)]
    found = [(at(0), CAT, 0.9), (at(50), CAT, 0.8), (at(0, 1), CAT, 0.7), (at(70), CAT, 0.6)]
    assert counts(found, true) == {("background", CAT): 1, ("missed", CAT): 1}
    found[1] = (at(50), CAT, 0.65)
    assert counts(found, true) == {}
    assert counts([(at(0), BIRD, 0.9)], true) == {("missed", CAT): 2}, "there is no bird to judge"


def test_the_surest_takes_the_object_it_overlaps_most():
    """As COCO counts; the next has to take what is left."""
    true = [(at(0), CAT), (at(3), CAT)]
    found = [(at(2), CAT, 0.9), (at(3), CAT, 0.8)]
    # The first finds the second object (9 / 11); what is left lies 3 away from the other.
    assert counts(found, true) == {}
    found = [(at(2), CAT, 0.9), (at(4), CAT, 0.8)]
    # 4 away from the first object, 1 from the second, which is taken.
    assert counts(found, true) == {("duplicate", CAT): 1, ("missed", CAT): 1}


def test_boxes_of_different_images_never_meet():
    assert counts([(at(0, 1), CAT, 0.9)], [(at(0), CAT)]) == {
        ("background", CAT): 1,
        ("missed", CAT): 1,
    }


def test_crowds_are_no_objects():
    true = [(([0, 0, 40, 10], 0), CAT), (at(100), CAT)]
    # In the crowd: not judged, so the detection after them is.
    found = [(at(5), CAT, 0.9), (at(25), CAT, 0.8), (at(100), CAT, 0.7)]
    assert counts(found, true, crowds=[0]) == {}
    # A detection of another class in it is no confusion.
    found = [(at(5), DOG, 0.9), (at(100), CAT, 0.7)]
    assert counts(found, [*true, (at(200), DOG)], crowds=[0]) == {
        ("background", DOG): 1,
        ("missed", DOG): 1,
    }
    # One that finds an object beside the crowd is judged, and right.
    assert counts([(at(36), CAT, 0.9)], [true[0], (at(38), CAT)], crowds=[0]) == {}


@pytest.mark.parametrize("true", [[], [(at(0), CAT)]])
def test_nothing_found(true):
    assert counts([], true) == ({("missed", CAT): 1} if true else {})


def test_nothing_to_find():
    assert counts([(at(0), CAT, 0.9)], []) == {}
    assert counts([(at(0), CAT, 0.9)], [(at(0), CAT)], crowds=[0]) == {}

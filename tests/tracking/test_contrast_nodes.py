import re

import numpy as np
import pytest
import yaml

from cnnlab.errors import UserError
from cnnlab.tracking.contrasts import Contrast, parse

ARMS = ["g1", "g2", "g8", "g32", "64"]


def read(text: str) -> Contrast:
    return parse(yaml.safe_load(text), ARMS, "ablation.contrasts[3]")


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("arms: [g32, g1]", {"g32": 1, "g1": -1}),
        ("arms: [64, g1]", {"64": 1, "g1": -1}),  # YAML's whole numbers name arms, too
        ("slope: [g1, g2, g8]", {"g1": -0.5, "g2": 0, "g8": 0.5}),
        ("slope: [g1, g2, g8, g32]", {"g1": -0.3, "g2": -0.1, "g8": 0.1, "g32": 0.3}),
        ("difference: [[g32, g1], [g8, g2]]", {"g32": 1, "g1": -1, "g8": -1, "g2": 1}),
        ("difference: [[g32, g8], [g8, g1]]", {"g32": 1, "g8": -2, "g1": 1}),
        ("weights: {g1: -1, g2: 0.5, g8: 0.5}", {"g1": -1, "g2": 0.5, "g8": 0.5}),
    ],
)
def test_what_a_file_says_becomes_weights(text: str, weights: dict[str, float]):
    contrast = read(f"{{name: more groups, expect: positive, {text}}}")
    assert contrast.weights == pytest.approx(weights)
    assert list(contrast.weights) == list(weights)
    assert (contrast.name, contrast.expect, contrast.rank) == ("more groups", "positive", False)


def test_a_rank_takes_any_numbers():
    contrast = read("{name: r, expect: negative, rank: {g1: 1, g8: 8.5, g2: 2}}")
    assert contrast == Contrast("r", {"g1": 1.0, "g8": 8.5, "g2": 2.0}, "negative", rank=True)


def test_a_slope_is_the_least_squares_line():
    metric = dict(zip(ARMS, [0.71, 0.70, 0.74, 0.75, 0.73], strict=True))
    contrast = read("{name: s, expect: positive, slope: [g1, g2, g8, g32, 64]}")
    line = np.polyfit(range(5), list(metric.values()), 1)
    assert contrast.of(metric) == pytest.approx(line[0])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("g32", "=g32: a contrast has name, expect and one of arms, slope"),
        ("{name: x, expect: positive, arm: [g1, g2]}", ".arm: unknown; .* did you mean 'arms'"),
        ("{expect: positive, arms: [g1, g2]}", ".name=None: a name is required"),
        ("{name: 3, expect: positive, arms: [g1, g2]}", ".name=3: a name is required"),
        ("{name: x, arms: [g1, g2]}", ".expect=None: positive or negative"),
        ("{name: x, expect: positiv, arms: [g1, g2]}", ".expect=positiv: .* mean 'positive'"),
        ("{name: x, expect: [1], arms: [g1, g2]}", ".expect=.*: positive or negative"),
        ("{name: x, expect: positive}", ": no weights given"),
        ("{name: x, expect: positive, arms: [g1, g2], slope: []}", ": arms and slope given"),
        ("{name: x, expect: positive, arms: [g1, g23]}", ".arms=g23: arms are g1, g2.* mean 'g2'"),
        ("{name: x, expect: positive, arms: [g1, g1]}", ".arms=.*: g1 stands there twice"),
        ("{name: x, expect: positive, arms: [g1, g2, g8]}", ".arms=.*: two arms are required"),
        ("{name: x, expect: positive, arms: g1}", ".arms=g1: a list of arms is required"),
        ("{name: x, expect: positive, arms: [[g1], g2]}", ".arms=.*: a list of arms"),
        ("{name: x, expect: positive, arms: [off, on]}", ".arms: YAML reads an arm as False"),
        ("{name: x, expect: positive, arms: [0.5, g1]}", ".arms: YAML reads an arm as 0.5"),
        ("{name: x, expect: positive, slope: [g1, g2]}", ".slope=.*: three arms or more"),
        ("{name: x, expect: positive, difference: [g1, g2]}", r".difference\[0\]=g1: a list"),
        ("{name: x, expect: positive, difference: [[g1, g2]]}", r"\[\[a, b\], \[c, d\]\]"),
        (
            "{name: x, expect: positive, difference: [[g8, g1], [g8, g2]]}",
            ".difference=.*: an arm cancels out",
        ),
        ("{name: x, expect: positive, weights: [g1]}", ".weights=.*: a number for each arm"),
        ("{name: x, expect: positive, weights: {g1: 1, g2: -0.9}}", "add up to 0.1; 0 is"),
        ("{name: x, expect: positive, weights: {g1: 0, g2: 0}}", ": all weights are 0"),
        ("{name: x, expect: positive, weights: {g1: one, g2: -1}}", ".weights.g1=one: a number"),
        ("{name: x, expect: positive, weights: {g1: true, g2: -1}}", ".weights.g1=True: a number"),
        ("{name: x, expect: positive, weights: {g1: .inf, g2: 1}}", ".g1=inf: a finite number"),
        ("{name: x, expect: positive, weights: {g1: 1, g9: -1}}", ".weights=g9: arms are"),
        ("{name: x, expect: positive, rank: {g1: 1, g2: 2}}", ".rank=.*: three arms"),
        ("{name: x, expect: positive, rank: {g1: 1, g2: 1, g8: 2}}", ".rank=.*: three arms"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_entry(text: str, said: str):
    with pytest.raises(UserError, match=said) as error:
        read(text)
    line = str(error.value)
    assert line.startswith("ablation.contrasts[3]")
    assert re.search(r"\n", line) is None


def test_weights_that_add_up_but_for_rounding_are_taken():
    assert read("{name: x, expect: positive, weights: {g1: 0.1, g2: 0.2, g8: -0.3}}").weights

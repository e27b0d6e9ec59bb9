import math

import pytest

from cnnlab.tracking.compare import compare
from cnnlab.tracking.curves import MOST_POINTS
from cnnlab.tracking.reading import History


def curves_of(runs):
    return compare(runs, metric=None, cost="gmacs", by=None, baseline=None).curves


@pytest.fixture
def a_run(made_run):
    def make(seed, steps, values):
        epochs = list(range(len(steps)))
        history = History(steps, epochs, [0.0] * len(steps), values)
        return made_run(seed=seed, history={"val/top1": history})

    return make


def test_mean_and_range_over_the_runs(a_run):
    runs = [a_run(0, [10, 20], [0.2, 0.6]), a_run(1, [10, 20], [0.4, 0.5])]
    (curve,) = curves_of(runs)["val/top1"]
    assert curve.steps == [10, 20]
    assert curve.epochs == [1, 2]  # done at these steps
    assert curve.mean == pytest.approx([0.3, 0.55])
    assert (curve.low, curve.high) == ([0.2, 0.5], [0.4, 0.6])
    assert curve.n == 2


def test_other_steps_meet_by_interpolation_and_end_with_the_shortest(a_run):
    runs = [a_run(0, [10, 20, 40], [0.0, 1.0, 9.0]), a_run(1, [10, 30], [0.0, 4.0])]
    (curve,) = curves_of(runs)["val/top1"]
    assert curve.steps == [10, 20, 30]
    assert curve.mean == pytest.approx([0.0, (1 + 2) / 2, (5 + 4) / 2])


def test_nan_is_passed_over(a_run):
    (curve,) = curves_of([a_run(0, [10, 20, 30], [0.0, math.nan, 1.0])])["val/top1"]
    assert curve.steps == [10, 30]


def test_long_curves_are_thinned(a_run):
    steps = list(range(1, 5 * MOST_POINTS))
    (curve,) = curves_of([a_run(0, steps, [float(step) for step in steps])])["val/top1"]
    assert len(curve.steps) == MOST_POINTS
    assert (curve.steps[0], curve.steps[-1]) == (steps[0], steps[-1])
    assert curve.mean == pytest.approx([float(step) for step in curve.steps])


def test_a_single_point_is_no_curve(a_run):
    assert curves_of([a_run(0, [10], [0.5])]) == {}

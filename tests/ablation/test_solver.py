import math
import random

import pytest

from cnnlab.ablation import solver
from cnnlab.ablation.solver import InvalidValue, NoSolutionError, Point, solve


class Counting:
    """A cost function that counts its calls and refuses a value that it has seen."""

    def __init__(self, cost):
        self.cost, self.seen = cost, []

    def __call__(self, value):
        assert value not in self.seen
        self.seen.append(value)
        return self.cost(value)


def nearest(cost, target, most):
    """By looking at every value: the independent answer."""
    costs = {}
    for value in range(1, most + 1):
        try:
            costs[value] = cost(value)
        except InvalidValue:
            continue
    return min(abs(c - target) for c in costs.values())


@pytest.mark.parametrize("start", [1, 7, 64, 1000])
@pytest.mark.parametrize("target", [13.0, 905.0, 12345.0, 1e6])
def test_growing_cost(start, target):
    cost = Counting(lambda v: 3.0 * v * v + 5 * v + 2)
    # 3 v^2 + 5 v + 2 = t, solved by hand, then the nearer of both whole numbers.
    root = (-5 + math.sqrt(25 - 12 * (2 - target))) / 6
    expected = min((math.floor(root), math.ceil(root)), key=lambda v: abs(cost.cost(v) - target))
    assert solve(cost, target, start=start).best == Point(expected, cost.cost(expected))
    assert len(cost.seen) < 30


def test_two_sides_of_the_target():
    found = solve(lambda v: 10.0 * v, 34, start=1)
    assert (found.best, found.below, found.above) == (Point(3, 30), Point(3, 30), Point(4, 40))


def test_of_two_equally_near_the_cheaper():
    assert solve(lambda v: 10.0 * v, 35, start=8).best == Point(3, 30)


def test_a_start_that_costs_what_is_wanted_stays():
    cost = Counting(lambda v: float(v // 10))
    assert solve(cost, 5, start=57).best == Point(57, 5)
    assert cost.seen == [57]


@pytest.mark.parametrize("start", [1, 3, 40, 900])
def test_falling_cost(start):
    assert solve(lambda v: 1000 / v, 130, start=start).best.value == 8  # 125; 7 gives 142.9


@pytest.mark.parametrize("start", [1, 8, 100])
@pytest.mark.parametrize("target", [9.0, 20.0, 31.5, 77.0])
def test_plateaus(start, target):
    def cost(v):
        return 8.0 * math.ceil(v / 8)

    found = solve(cost, target, start=start)
    assert abs(found.best.cost - target) == nearest(cost, target, 200)


@pytest.mark.parametrize("start", [1, 5, 16, 64, 300])
@pytest.mark.parametrize("target", [50.0, 130.0, 1100.0])
def test_values_that_are_not_possible_are_stepped_over(start, target):
    def cost(v):
        if v % 6 != 2:  # depth 6n + 2
            raise InvalidValue(f"{v} is not 6n + 2")
        return v * 1.5

    found = solve(cost, target, start=start)
    assert found.best.value % 6 == 2
    assert abs(found.best.cost - target) == nearest(cost, target, 2000)


@pytest.mark.parametrize("start", [1, 2, 8, 64])
def test_divisors_only_and_falling(start):
    """Groups of 64 channels: each is the only one possible between its half and its double."""

    def cost(v):
        if 64 % v:
            raise InvalidValue(f"64 channels, {v} groups")
        return 9 * 64 * 64 / v + 1000

    assert solve(cost, 3000, start=start).best.value == 16  # 3304; 32 gives 2152
    assert solve(cost, 100, start=start).best == Point(64, 1576)


@pytest.mark.parametrize("seed", range(20))
def test_reversals_by_rounding_near_the_solution(seed):
    """A pair of neighbours swapped anywhere: the nearest is found all the same."""
    random.seed(seed)
    costs = [float(v**2) for v in range(400)]
    at = random.randrange(20, 300)
    costs[at], costs[at + 1] = costs[at + 1], costs[at]
    target = costs[at] + random.choice([-3, 0, 4])
    found = solve(lambda v: costs[v] if v < 400 else 1e9, target, start=random.randrange(1, 60))
    assert abs(found.best.cost - target) == min(abs(c - target) for c in costs[1:])


def test_out_of_reach_above_and_below():
    flat_top = solve(lambda v: min(v, 50) * 2.0, 300, start=10)
    assert (flat_top.best.cost, flat_top.above) == (100, None)
    low = solve(lambda v: 500.0 + v, 300, start=10)
    assert (low.best, low.below, low.above) == (Point(1, 501), None, Point(1, 501))


def test_a_cost_that_does_not_depend_on_the_value():
    with pytest.raises(NoSolutionError, match="no value that was tried"):
        solve(lambda v: 7.0, 8, start=16)


def test_no_value_is_possible():
    def cost(v):
        raise InvalidValue("64 classes, no colours")

    counting = Counting(cost)
    with pytest.raises(
        NoSolutionError, match="none of 80 values is possible; of the first: 64 classes"
    ):
        solve(counting, 8, start=16)
    assert sorted(counting.seen) == list(range(1, 16 + solver.GAP + 1))


def test_noise_does_not_tell_the_direction():
    """Below 16 all costs differ by noise alone, and fall by it."""

    def cost(v):
        return 10.0 + v if v >= 16 else 10 - 0.02 * v

    assert solve(cost, 42, start=4, noise=0.05).best.value == 32

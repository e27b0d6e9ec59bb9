"""Real nets on the meta device; published widths, brute force and closed forms are the oracles."""

import itertools

import pytest

from cnnlab.ablation import latency
from cnnlab.ablation.costs import Costs
from cnnlab.ablation.hold import hold
from cnnlab.complexity.formulas.scaling import resnext_width
from cnnlab.errors import UserError

WIDTH = "model.width_per_group"
RESNET = "model=resnet50 data=imagenet"
PUBLISHED = ((1, 64), (2, 40), (4, 24), (8, 14), (32, 4))
SMALL = "model=resnext_cifar model.depth=11 data=cifar10"


@pytest.fixture(scope="module")
def costs() -> Costs:
    """One for all tests, as a plan has one for all arms."""
    return Costs()


def solved(costs, words, baseline, *, cost="params", solve=WIDTH, tolerance=0.05, earlier=()):
    settings = {"cost": cost, "solve": solve, "tolerance": tolerance}
    return hold("arm", words.split(), baseline.split(), costs, earlier, **settings)


def refused(costs, *args, **settings) -> str:
    with pytest.raises(UserError) as error:
        solved(costs, *args, **settings)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("depth", "groups", "width"),
    [
        *((50, groups, width) for groups, width in PUBLISHED),
        (101, 8, 14),
        *(pytest.param(101, *row, marks=pytest.mark.slow) for row in PUBLISHED if row[0] != 8),
    ],
)
def test_published_resnext_widths_hold_parameters(costs, depth, groups, width):
    """Xie et al. 2017, Table 3."""
    baseline = f"model=resnet{depth} data=imagenet"
    found = solved(costs, f"{baseline} model.groups={groups}", baseline)
    assert found.word == f"model.width_per_group={width}"
    assert abs(found.deviation) < 0.025
    assert found.deviation == found.cost / found.target - 1


def test_the_papers_equation_gives_the_same_width_beyond_its_table(costs):
    """9 G c^2 + 8 G C c - 17 C^2 = 0 with C = 64 counts one block."""
    assert solved(costs, f"{RESNET} model.groups=64", RESNET).value == 2
    assert round(resnext_width(64, 64)) == 2


def test_holding_macs_is_another_question_than_holding_parameters(costs):
    found = solved(costs, f"{RESNET} model.groups=8", RESNET, cost="macs")
    assert found.value == 13
    of_14 = f"{RESNET} model.groups=8 model.width_per_group=14".split()
    above = costs.of(costs.config(of_14)).macs / found.target - 1
    assert above == pytest.approx(0.0436, abs=1e-3)  # 4.267 G by 4.089 G
    assert abs(found.deviation) < above


@pytest.mark.parametrize("cost", ["params", "macs", "activations"])
@pytest.mark.parametrize("groups", [1, 32])
def test_of_the_cifar_family_no_neighbour_is_nearer(costs, groups, cost):
    words = f"{SMALL} model.groups={groups}"
    found = solved(costs, words, SMALL, cost=cost)
    target = getattr(costs.of(costs.config(SMALL.split())), cost)
    for step in (-1, 1):
        cfg = costs.config([*words.split(), f"{WIDTH}={found.value + step}"])
        assert abs(getattr(costs.of(cfg), cost) - target) >= abs(found.cost - target)


def test_where_the_search_begins_makes_no_difference(costs):
    arm = f"{SMALL} model.groups=4 model.width_per_group"
    values = {solved(costs, f"{arm}={start}", SMALL).value for start in (1, 100, 999)}
    assert len(values) == 1


def test_a_depth_has_only_some_values(costs):
    """WRN: 6n + 4 layers; as wide as k = 2, as many parameters as 40-1 (Table 4: 0.56 M)."""
    baseline = "model=wrn_cifar model.depth=40 model.widen=1 data=cifar10"
    found = solved(
        costs, baseline.replace("widen=1", "widen=2"), baseline, solve="model.depth", tolerance=0.3
    )
    assert found.value == 16  # 0.69 M; 10 layers have 0.31 M
    assert isinstance(found.value, int)


def test_width_multipliers_are_solved_in_hundredths(costs):
    """ShuffleNet against 0.5 MobileNet-224, 149 M MACs (Howard et al. 2017, Table 6)."""
    baseline = "model=mobilenet_v1_050 data=imagenet"
    arm = "model=shufflenet_v1 model.groups=8 data=imagenet"
    settings = {"cost": "macs", "solve": "model.width"}
    found = solved(costs, arm, baseline, **settings)
    assert found.target == pytest.approx(149e6, rel=0.01)
    assert found.value == pytest.approx(round(found.value, 2), abs=0)
    assert abs(found.deviation) < 0.02


def test_a_value_between_two_hundredths_stays_where_it_costs_as_much(costs):
    eighth = "model=mobilenet_v1 model.width=0.125 data=digits"
    found = solved(costs, eighth, eighth, solve="model.width")
    assert (found.value, found.deviation, found.word) == (0.125, 0.0, "model.width=0.125")


def test_a_multiplier_that_is_typed_as_1_is_none_of_whole_numbers(costs):
    arm = "model=mobilenet_v1 model.width=1 data=digits"
    found = solved(costs, arm, "model=mobilenet_v1_050 data=digits", solve="model.width")
    assert found.deviation == 0
    assert found.value == pytest.approx(0.5, abs=0.02)  # channels are whole numbers


def test_the_image_size_is_a_knob_as_any_other(costs):
    """MACs of a net without stride in its stem go with the square of the side."""
    baseline = "model=resnet20_cifar data=cifar10"
    found = solved(
        costs,
        f"{baseline} model.width=8 data.image_size=32",
        baseline,
        cost="macs",
        solve="data.image_size",
    )
    assert 62 <= found.value <= 66


def test_too_far_says_how_near_it_comes(costs):
    line = refused(costs, f"{RESNET} model.groups=8", RESNET, cost="macs", tolerance=0.005)
    assert line == (
        "arm arm: hold.cost=macs needs the baseline's 4,089,184,256 within 0.50% "
        "(hold.tolerance): model.width_per_group=13 gives 3,949,895,680 (-3.4%); "
        "model.width_per_group=14 gives 4,267,409,408 (+4.4%)"
    )


def test_out_of_reach(costs):
    """110 layers of one channel have more parameters than 20."""
    narrow = "data=digits model.width=1 model"
    line = refused(
        costs, f"{narrow}=resnet110_cifar", f"{narrow}=resnet20_cifar", solve="model.width"
    )
    assert "model.width=1 gives" in line
    assert line.endswith("; no other costs less")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"solve": "model.width_per_grup"}, "did you mean 'model.width_per_group'?"),
        ({"solve": "model.name"}, "hold.solve=model.name: has to be a number"),
        ({"solve": "model.layers"}, "hold.solve=model.layers: has to be a number"),
        ({"solve": "data.eval_batch_size"}, "data.eval_batch_size cannot hold params: no value"),
    ],
)
def test_mistakes(costs, settings, told):
    assert told in refused(costs, f"{RESNET} model.groups=2", RESNET, **settings)


def test_a_net_that_no_value_makes_possible(costs):
    arm = "model=resnext_cifar model.depth=30 data=cifar10"
    line = refused(costs, f"{arm} {WIDTH}=1", SMALL)
    assert "arm arm: model.width_per_group cannot hold params: none of" in line
    assert "model.depth=30" in line
    line = refused(costs, SMALL, arm)
    assert line.startswith("baseline: ")


class Clock:
    """In place of `Timed`: MACs as time, on a machine that becomes slower and slower."""

    drift = itertools.count()

    def __init__(self, costs, cfg):
        self.macs = costs.of(cfg).macs

    def ms(self):
        return self.macs * 1e-6 * 1.02 ** next(self.drift)


def test_latency_is_measured_in_turn_with_the_baselines(costs, monkeypatch):
    """Alone, the machine's drift of 2 % a forward would end the search far too narrow."""
    monkeypatch.setattr(latency, "Timed", Clock)
    arm = f"{SMALL} model.groups=1 model.width_per_group"
    found = solved(costs, f"{arm}=64", SMALL, cost="latency")
    macs, of_base = (
        costs.of(costs.config(w.split())).macs for w in (f"{arm}={found.value}", SMALL)
    )
    assert found.deviation == pytest.approx(macs / of_base / 1.02 - 1, abs=1e-9)
    assert abs(found.deviation) < 0.01
    assert found.cost == pytest.approx(found.target * (1 + found.deviation))
    notes = len(costs.notes)
    again = {"cost": "latency", "earlier": [found]}
    assert solved(costs, f"{arm}=64", SMALL, **again) is found
    assert "as it was solved before" in costs.notes[notes]
    assert solved(costs, f"{arm}=64", SMALL, **again, tolerance=0.06) is not found
    line = refused(costs, f"{arm}=64", SMALL, cost="latency", tolerance=1e-5)
    assert " ms within 0.00% " in line

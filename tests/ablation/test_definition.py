"""Every mistake in an ablation file is one line that names `ablation.<key>`."""

import json
from collections.abc import Callable

import pytest

from cnnlab.ablation.definition import Ablation, Hold, Published, read
from cnnlab.errors import UserError

ONE = "ResNet-50|groups=1 group_width=64"
DEFAULTS = {"cost": None, "solve": None, "tolerance": 0.05}
OF_TWO = {"contrasts": [{"name": "x", "arms": ["one", "two"], "expect": "positive"}]}


@pytest.fixture
def of(node: dict) -> Callable[..., Ablation]:
    """`of(seeds=[1])`: the ablation with that part replaced; `...` leaves a part out."""

    def of_(scale: str = "small", **parts: object) -> Ablation:
        whole = {key: value for key, value in (node | parts).items() if value is not ...}
        return read("mine", whole, scale, DEFAULTS)

    return of_


def test_what_a_file_says(of, node):
    found = of(published={"table": "T01_resnext_groups", "rows": {"one": ONE}})
    assert (found.name, found.claim, found.scale) == ("mine", "More groups are better.", "small")
    assert found.arms == {
        "one": ["model.groups=1"],
        "two": ["model.groups=2"],
        "four": ["model.groups=4"],
    }
    assert found.hold == Hold("params", "model.width_per_group", 0.1)
    assert found.published == Published("T01_resnext_groups", {"one": ONE})
    assert found.contrasts[0].weights == {"four": 1.0, "one": -1.0}
    assert found.scales == {"small": node["scales"]["small"], "paper": ["model=resnext_cifar"]}


def test_a_scale_may_replace_parts(of):
    found = of("paper")
    assert list(found.arms) == ["a", "b"]
    assert (found.baseline, found.hold) == ("b", None)
    assert found.contrasts[0].expect == "negative"
    assert found.seeds == [1, 2]


def test_sets_whose_errors_are_drawn(of):
    assert of().edf is None
    sets = {"A": ["one", "two"], "B": ["two", "four"]}
    found = of(edf=sets)
    assert found.edf == found.to_plain()["edf"] == sets
    with pytest.raises(UserError, match=r"^ablation.edf.A=one: no such arm"):
        of("paper", edf=sets)  # it has other arms, and no sets of its own


def test_an_arm_that_is_null_is_left_out(of):
    arms = {"one": ["model.groups=1"], "two": None, "four": ["model.groups=4"]}
    assert list(of(arms=arms).arms) == ["one", "four"]


def test_the_tolerance_may_be_left_to_the_config(of):
    assert of(hold={"cost": "macs", "solve": "model.width"}).hold.tolerance == 0.05


def test_it_goes_through_json(of):
    published = {"table": "T01_resnext_groups", "rows": {"one": ONE}}
    found = of(published=published, tune={"optimizer.lr": [0.1, 0.2]})
    plain = json.loads(json.dumps(found.to_plain()))
    assert Ablation.from_plain(plain | {"solved": {}}) == found


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"claim": ...}, "ablation.claim: missing"),
        ({"claim": " "}, "ablation.claim: is empty"),
        ({"clam": "x"}, "ablation.clam: no such config key; did you mean 'claim'?"),
        ({"arms": {}}, "ablation.arms: 0 of them; a comparison needs two at least"),
        ({"arms": {"one": [], "a/b": []}}, "ablation.arms.a/b: an arm's name has letters"),
        ({"arms": {"one": [], 2: []}}, "ablation.arms: YAML reads an arm as 2"),
        ({"arms": {"one": [], "two": "model.groups=2"}}, "ablation.arms.two=model.groups=2: must"),
        ({"arms": {"one": [], "two": ["model.groups"]}}, "ablation.arms.two: model.groups: settin"),
        ({"arms": {"one": [], "two": ["a=1,2"]}}, "ablation.arms.two: a=1,2: several values"),
        ({"arms": {"one": [], "two": ["seed=3"]}}, "ablation.arms.two: seed=3: cannot be set"),
        ({"arms": {"one": [], "two": ["-m"]}}, "ablation.arms.two: -m: settings only"),
        ({"baseline": "on"}, "ablation.baseline=on: no such arm; did you mean 'one'?; there are"),
        ({"metric": "top1"}, "ablation.metric=top1: must begin with one of test/"),
        ({"seeds": []}, "ablation.seeds: none"),
        ({"seeds": [1, "b"]}, "ablation.seeds=[1, 'b']: must be a list, each a whole number"),
        ({"seeds": [1, 1]}, "ablation.seeds=[1, 1]: one of them stands there twice"),
        ({"tune": {"optimizer.lr": [0.1]}}, "ablation.tune: one point, and nothing to choose"),
        ({"seeds": [-1]}, "ablation.seeds=-1: must be at least 0"),
        ({"contrasts": []}, "ablation.contrasts: none"),
        ({"edf": {}}, "ablation.edf: no set of arms"),
        ({"edf": {"A": ["one", "tow"]}}, "ablation.edf.A=tow: no such arm; did you mean 'two'?"),
        ({"edf": {"A": ["one"]}}, "ablation.edf.A=['one']: a distribution is of two arms or more"),
        ({"edf": {"A": ["one", "one"]}}, "ablation.edf.A=['one', 'one']: a distribution is of two"),
        ({"edf": {"A": "one"}}, "ablation.edf.A=one: must be a list"),
        (
            {"contrasts": [{"name": "x", "arms": ["one", "for"], "expect": "positive"}]},
            "ablation.contrasts[0].arms=for: arms are one, two, four; did you mean 'four'?",
        ),
        (
            {"hold": {"cost": "param", "solve": "model.width"}},
            "ablation.hold.cost=param: must be params or macs or activations or latency or null; "
            "did you mean 'params'?",
        ),
        ({"hold": {"cost": "params"}}, "ablation.hold.solve: missing"),
        (
            {"hold": {"cost": "params", "solve": "model.groups"}},
            "ablation.hold.solve=model.groups: arm two sets it; only the baseline may",
        ),
        (
            {"hold": {"cost": "macs", "solve": "model.width", "tolerance": 2.0}},
            "ablation.hold.tolerance=2.0: must be above 0 and below 1",
        ),
        (
            {"published": {"table": "t", "rows": {"tow": "x"}}},
            "ablation.published.rows=tow: no such arm; did you mean 'two'?",
        ),
        (
            {"published": {"table": "T01_resnext_group", "rows": {"two": ONE}}},
            "ablation.published.table=T01_resnext_group: one of ",
        ),
        (
            {"published": {"table": "T01_resnext_groups", "rows": {"two": ONE + "0"}}},
            "ablation.published.rows.two=ResNet-50|groups=1 group_width=640: T01_resnext_groups "
            "has no such row; did you mean",
        ),
        (
            {"arms": {"one": [], "two": ["++model.width_per_group=8"]}} | OF_TWO,
            "ablation.hold.solve=model.width_per_group: arm two sets it",
        ),
        (
            {"arms": {"one": [], "two": ["model={width_per_group: 8}"]}} | OF_TWO,
            "ablation.hold.solve=model.width_per_group: arm two sets it",
        ),
        ({"tune": {"optimizer.lr": 1}}, "ablation.tune.optimizer.lr=1: must be a list"),
        ({"tune": {"optimizer.lr": []}}, "ablation.tune.optimizer.lr: has no values"),
        ({"tune": {"optimizer.lr": [1, 1]}}, "ablation.tune.optimizer.lr=[1, 1]: 1 stands"),
        ({"tune": {"model.groups": [1]}}, "ablation.tune.model.groups: set by one, two, four; w"),
        ({"tune": {1: [2]}}, "ablation.tune: YAML reads a key as 1; keys are dotted"),
        (
            {"tune": {"a.b": [1]}, "arms": {"one": ["a.b"], "two": []}},
            "ablation.arms.one: a.b: settings are written KEY=VALUE",
        ),
        ({"tune": {"seed": [1, 2]}}, "ablation.tune.seed: cannot be set here"),
        ({"tune": {"seeds": [5]}}, "ablation.tune: no key to search"),
        ({"tune": {"a.b": [1], "seeds": ["a"]}}, "ablation.tune.seeds=a: must be a whole number"),
        ({"tune": {"model.width_per_group": [1]}}, "ablation.tune.model.width_per_group: solved"),
        (
            {"tune": {"a.b": [1]}, "metric": "cost/gmacs"},
            "ablation.tune: cost/gmacs has no counterpart on val to choose by",
        ),
        ({"scales": {"smal": []}}, "ablation.scales.smal: must be one of small, paper; did you"),
        ({"scales": {"paper": []}}, "scale=small: this ablation has paper (ablation.scales)"),
        ({"scales": {"small": ["jobs=2"]}}, "ablation.scales.small: jobs=2: cannot be set here"),
    ],
)
def test_mistakes(of, parts, said):
    with pytest.raises(UserError) as caught:
        of(**parts)
    assert said in str(caught.value).splitlines()[0]


def test_mistakes_of_a_scale_name_the_scale(of, node):
    scales = node["scales"] | {"paper": node["scales"]["paper"] | {"baseline": "c"}}
    with pytest.raises(UserError, match=r"^ablation\.scales\.paper\.baseline=c: no such arm"):
        of("paper", scales=scales)
    assert of("small", scales=scales).baseline == "one"


def test_every_mistake_is_a_line(of):
    with pytest.raises(UserError) as caught:
        of(baseline="x", seeds=[], metric="top1")
    assert len(str(caught.value).splitlines()) == 3

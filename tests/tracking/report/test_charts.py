import itertools
import re

import pytest

from cnnlab.tracking.comparison import COSTS, Curve, Group, Paired
from cnnlab.tracking.report.axes import Axis
from cnnlab.tracking.report.charts import differences
from cnnlab.tracking.report.forest import Row, forest
from cnnlab.tracking.report.front import front
from cnnlab.tracking.report.labels import cut, spread
from cnnlab.tracking.report.lines import lines, second_half
from cnnlab.tracking.report.markup import Html, tag
from cnnlab.tracking.report.palette import COLOURED, Look, looks
from cnnlab.tracking.report.units import Unit, cost_text, p_text


def test_axis_by_hand():
    axis = Axis(0.0, 10.0, 100.0, 200.0)
    assert [axis(v) for v in (0, 5, 10)] == [100, 150, 200]
    assert axis.ticks(5) == [(0, "0"), (2, "2"), (4, "4"), (6, "6"), (8, "8"), (10, "10")]
    up = Axis(1.0, 100.0, 300.0, 100.0, log=True)
    assert up(10.0) == pytest.approx(200.0)
    assert [text for _, text in up.ticks(4)] == ["1", "10", "100"]


@pytest.mark.parametrize(
    ("low", "high"), [(-1e-4, 3e-4), (0.1399, 0.1402), (-3, 250), (1e6, 1.4e6), (-0.02, 0.05)]
)
def test_ticks_are_apart_inside_and_written_apart(low, high):
    for most in (4, 8):
        ticks = Axis(low, high, 0, 1).ticks(most)
        assert 2 <= len(ticks) <= most + 1
        rounding = (high - low) * 1e-6
        assert all(low - rounding <= value <= high + rounding for value, _ in ticks)
        assert len({text for _, text in ticks}) == len(ticks)
        for value, text in ticks:
            assert float(text) == pytest.approx(value, abs=(high - low) / 100)


def test_an_axis_of_equal_values_has_a_width():
    for value in (0.0, 1.0, -5.0):
        axis = Axis.around([value, value], 0, 100)
        assert axis(value) == pytest.approx(50)
    assert Axis.around([], 0, 100).ticks(4)


def test_labels_lie_apart_and_are_moved_little():
    assert spread([10, 50, 90], 15, 0, 100) == [10, 50, 90]
    moved = spread([50, 51, 52], 15, 0, 100)
    assert [b - a for a, b in itertools.pairwise(moved)] == [15, 15]
    low = spread([99, 98, 100], 15, 0, 100)
    assert low == [85, 70, 100]
    crowd = sorted(spread([50] * 30, 15, 0, 100))
    assert (crowd[0], crowd[-1]) == (pytest.approx(0), pytest.approx(100))


def test_names_are_cut_in_the_middle():
    assert cut("short", 100) == "short"
    text = cut("resnext50_32x4d groups=32", 78)
    assert len(text) == 10
    assert text.startswith("resn")
    assert text.endswith("ps=32")


def test_groups_without_a_seed_of_the_baseline_are_named(study):
    comparison = study()
    whole = str(differences(comparison, looks(comparison)))
    last = comparison.paired[-1]
    comparison.paired[-1] = Paired(last.group, last.baseline, {}, *[None] * 7)
    assert f"Without a seed of the baseline's: {last.group}." in str(
        differences(comparison, looks(comparison))
    ).replace("&#39;", "'").replace("&#x27;", "'")
    assert "Without a seed" not in whole


def test_names_that_would_read_alike_show_where_they_differ():
    names = [f"width=4 data={data} max_epochs=1" for data in ("digits", "fashion_mnist", "cifar10")]
    shown = [cut(name, 150, names) for name in names]
    assert len({*shown}) == 3
    assert all(len(text) <= 19 for text in shown)
    assert [name[:11] for name in shown] == ["…data=digit", "…data=fashi", "…data=cifar"]
    assert cut(names[0], 150) == cut(names[1], 150) == "width=4 d…_epochs=1"


def test_front_is_that_of_every_pair(study):
    comparison = study()
    for cost, higher in itertools.product(COSTS, (True, False)):
        known = [g for g in comparison.groups if g.cost[cost] is not None]

        def beats(a, b, cost=cost, higher=higher):
            good = (a.mean >= b.mean, a.mean > b.mean) if higher else (
                a.mean <= b.mean, a.mean < b.mean)  # fmt: skip
            return good[0] and a.cost[cost] <= b.cost[cost] and (
                good[1] or a.cost[cost] < b.cost[cost])  # fmt: skip

        expected = {g.name for g in known if not any(beats(o, g) for o in known)}
        assert {g.name for g in front(comparison.groups, cost, higher)} == expected
    named = [g.name for g in front(comparison.groups, "gmacs", True)]
    assert set(named) == {g.name for g in comparison.groups if g.pareto}


def test_front_with_ties():
    def group(name, mean, price):
        return Group(name, {}, [], {}, mean, None, None, {"gmacs": price})

    groups = [
        group("a", 0.9, 2.0),
        group("twin", 0.9, 2.0),
        group("dear", 0.9, 3.0),
        group("worse", 0.8, 2.0),
        group("cheap", 0.7, 1.0),
        group("unknown", 0.99, None),
    ]
    assert [g.name for g in front(groups, "gmacs", True)] == ["cheap", "a", "twin"]


def test_forest_puts_everything_where_it_belongs():
    row = Row("", "", 1.0, (0.5, 1.5), [0.4, 1.6], published=2.0)
    text = forest([row], 350, "points", sides=("against", "claimed"), good=1, name="x")
    zero = float(re.search(r'x1="([\d.]+)"[^>]*class="zero"', text)[1])
    dots = [float(x) for x in re.findall(r'cx="([\d.]+)"[^>]*class="dot"', text)]
    low, high = map(float, re.search(r'x1="(\S+)" x2="(\S+)"[^>]*class="interval"', text).groups())
    published = float(re.search(r'd="M([\d.]+)[^>]*class="published"', text)[1])
    shaded = re.search(r'<rect x="([\d.]+)"[^>]*width="([\d.]+)"', text)
    unit = (dots[1] - dots[0]) / 1.2
    assert dots[0] - zero == pytest.approx(0.4 * unit, abs=0.1)
    assert low - zero == pytest.approx(0.5 * unit, abs=0.1)
    assert high - zero == pytest.approx(1.5 * unit, abs=0.1)
    assert published - zero == pytest.approx(2.0 * unit, abs=0.1)
    assert float(shaded[1]) == zero
    assert zero + float(shaded[2]) <= 350
    # The words have room at both sides.
    assert zero > 7.8 * len("← against")


def test_an_interval_far_beyond_the_dots_ends_in_arrows():
    wide = forest(
        [Row("", "", 1.0, (-90.0, 92.0), [0.9, 1.1])], 350, "", sides=("a", "b"), good=1, name="x"
    )
    near = forest(
        [Row("", "", 1.0, (0.8, 1.2), [0.9, 1.1])], 350, "", sides=("a", "b"), good=1, name="x"
    )
    assert wide.count("l-6 5l6 5") == wide.count("l6 5l-6 5") == 1
    assert near.count("v10") == 2
    ends = re.search(r'x1="(\S+)" x2="(\S+)"[^>]*class="interval"', wide).groups()
    assert 0 <= float(ends[0]) < float(ends[1]) <= 350


def a_curve(group, n=3, steps=10):
    mean = [0.1 * i for i in range(1, steps + 1)]
    return Curve(
        group,
        [100 * i for i in range(1, steps + 1)],
        [float(i) for i in range(1, steps + 1)],
        mean,
        [v - 0.05 for v in mean],
        [v + 0.05 for v in mean],
        n,
    )


def test_curves_have_a_band_and_a_name_each():
    looks = {"a": Look(0, "c0", None, "disc"), "b": Look(1, "grey", None, "disc")}
    text = lines("val/top1", [a_curve("a"), a_curve("b")], looks, 960)
    assert text.count('class="line"') == 2
    assert text.count('class="band"') == 1
    assert text.count('class="name"') == 1  # grey ones have none
    assert "epochs" in text
    alone = lines("val/top1", [a_curve("a", n=1)], looks, 960)
    assert 'class="band"' not in alone


def test_curves_without_epochs_are_drawn_over_steps():
    curve = a_curve("a")
    curve.epochs[:] = [1.0] * 10
    assert "optimizer steps" in lines("x", [curve], {"a": Look(0, "c0", None, "disc")}, 350)


def test_second_half():
    late = second_half([a_curve("a"), a_curve("short", steps=2)])
    assert [curve.group for curve in late] == ["a"]
    assert late[0].steps == [500, 600, 700, 800, 900, 1000]
    assert len(late[0].mean) == len(late[0].low) == len(late[0].epochs) == 6


def test_few_groups_stand_out_and_none_looks_like_another(study):
    comparison = study()
    own = looks(comparison)
    assert own["g1"].css == "c0"  # the baseline
    assert len({(look.css, look.shape) for look in own.values()}) == 5
    comparison.groups += [
        Group(f"x{i}", {}, [], {}, 0.1, None, None, dict.fromkeys(COSTS)) for i in range(40)
    ]
    own = looks(comparison)
    out = {name for name, look in own.items() if look.stands_out}
    assert {"g1", "g4", "g8", "g32"} <= out  # the baseline, and the arms of verdicts
    assert len(out) == COLOURED


def test_markup_escapes():
    own = tag("td", "a < b & 'c'", Html("<b>d</b>"), None, ["e", ("f",)], class_="x", data_sort=1)
    assert own == '<td class="x" data-sort="1">a &lt; b &amp; &#x27;c&#x27;<b>d</b>ef</td>'
    assert tag("a", title='"><script>') == '<a title="&quot;&gt;&lt;script&gt;"></a>'
    assert tag("option", selected=False, hidden=True, x=1.5) == '<option hidden x="1.5"></option>'


def test_numbers_as_a_reader_expects_them():
    share, loss = Unit.of("test/top1"), Unit.of("test/loss")
    assert share.value(0.91) == "91.00 %"
    assert share.change(0.0061) == "+0.61 points"
    assert share.change(-0.00001) == "-0.001 points"
    assert share.between((0.002, 0.01)) == "0.20 to 1.00"
    assert loss.value(0.70512) == "0.7051"
    assert loss.change(0.0) == "+0"
    assert {share.value(None), share.change(float("nan")), loss.half(None)} == {"-"}
    assert [p_text(p) for p in (0.0004, 0.0312, None)] == ["< 0.001", "0.031", "-"]
    assert [cost_text(c) for c in (9.0, 1234.0, 56789.4, None)] == ["9.000", "1234", "56,789", "-"]

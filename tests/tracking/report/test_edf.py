"""The distributions of errors of sets of arms: of made-up runs, by hand and by scipy."""

import re

import pytest
from scipy.stats import ecdf

from cnnlab.tracking.compare import compare
from cnnlab.tracking.comparison import Group
from cnnlab.tracking.report.charts import errors
from cnnlab.tracking.report.edf import Distribution, distributions, edf
from cnnlab.tracking.report.page import page
from cnnlab.tracking.report.palette import COLOURED, Look, looks, nth
from cnnlab.tracking.report.units import Unit

SETS = {"few": ["g1", "g2"], "many": ["g4", "g8", "g32"]}


def a_set(name, values):
    nets = [Group(f"{name}{i}", {}, [], {}, v, None, None, {}) for i, v in enumerate(values)]
    return Distribution(name, [(g, g.mean) for g in sorted(nets, key=lambda g: g.mean)], [])


@pytest.mark.parametrize("values", [[0.4, 0.1, 0.3, 0.2], [0.5, 0.5, 0.2], [0.7, 0.7]])
def test_shares_are_those_of_the_empirical_distribution(values):
    """Equal errors are one step; at the last of them all nets are at or below."""
    theirs = ecdf(values).cdf
    steps = a_set("x", values).steps()
    assert [error for error, _ in steps] == list(theirs.quantiles)
    assert [share for _, share in steps] == pytest.approx(list(theirs.probabilities))


def test_error_is_one_less_the_mean_over_seeds(study):
    comparison = study(edf=SETS)
    few, many = distributions(comparison)
    means = {g.name: g.mean for g in comparison.groups}
    assert [(g.name, error) for g, error in few.nets] == sorted(
        [(arm, pytest.approx(1 - means[arm])) for arm in SETS["few"]], key=lambda n: -means[n[0]]
    )
    assert many.median == pytest.approx(1 - sorted(means[arm] for arm in SETS["many"])[1])


def test_a_loss_is_its_own_error(study):
    comparison = study(edf=SETS)
    comparison.metric, comparison.higher_is_better = "test/loss", False
    few, _ = distributions(comparison)
    assert {error for _, error in few.nets} == {
        g.mean for g in comparison.groups if g.name in SETS["few"]
    }
    words = errors(comparison, looks(comparison))
    assert "Further left is better" in words
    assert "1 - test/loss" not in words


def test_lines_climb_from_none_to_all_at_their_errors():
    """Coordinates by hand: the nets at 10, 20 and 40 % are a third each."""
    one = a_set("x", [0.1, 0.2, 0.4])
    own = {g.name: Look(i, "grey", None, "disc") for i, (g, _) in enumerate(one.nets)}
    text = edf([one], own, 960, title="error, %", unit=Unit.of("test/top1"))
    path = re.search(r'd="(M[^"]*)" class="line"', text)[1]
    across = [float(v) for v in re.findall(r"H([\d.]+)", path)]
    up = [float(v) for v in re.findall(r"V([\d.]+)", path)]
    bottom = float(path.split("H")[0].split()[1])
    assert [bottom - v for v in up] == pytest.approx([310 / 3, 620 / 3, 310], abs=0.1)
    assert (across[2] - across[1]) / (across[1] - across[0]) == pytest.approx(2, abs=0.01)
    marks = [(float(a), float(b)) for a, b in re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', text)]
    assert marks[:3] == [pytest.approx(p, abs=0.1) for p in zip(across, up, strict=False)]
    assert re.findall(r'data-group="(\d)"', text) == ["0", "1", "2"]


def test_drawn_where_the_file_asks_for_it(study):
    asked = page(study(edf=SETS))
    assert 'id="edf"' in asked
    found = re.search(r'<section id="edf">.*?</section>', asked)[0]
    assert found.count('class="line"') == 2 * len(SETS)  # wide and narrow
    assert "error, 1 - test/top1, %" in found
    assert "Further left is better" in found
    assert re.search(
        r"Median: few \d\d?\.\d\d % \(nets: 2\); many \d\d?\.\d\d % \(nets: 3\)", found
    )
    for sets in (None, {}):
        assert 'id="edf"' not in page(study(edf=sets))
    assert 'id="edf"' not in page(study())  # records of an older cnnlab have no such key


def test_an_arm_without_a_run_is_said(study, a_run):
    comparison = study(edf=SETS)
    runs = [run for g in comparison.groups if g.name != "g8" for run in g.runs]
    part = compare(runs, metric=None, cost="gmacs", by=None, baseline=None)
    words = errors(part, looks(part))
    assert "(nets: 2)" in words.split("many")[-1]
    assert "Not among them, as no run counts: g8." in words
    few = [run for g in comparison.groups if g.name in SETS["few"] for run in g.runs]
    alone = compare(few, metric=None, cost="gmacs", by=None, baseline=None)
    assert [one.name for one in distributions(alone)] == ["few"]


def test_names_of_sets_are_no_markup(study):
    evil = "</svg><script>x"
    assert evil not in page(study(edf={evil: ["g1", "g2"], "b": ["g4", "g8"]}))


def test_sets_look_different_and_none_like_the_baseline():
    seen = {(nth(i).css, nth(i).shape, nth(i).dash) for i in range(COLOURED)}
    assert len(seen) == COLOURED
    assert "c0" not in {css for css, _, _ in seen}
    assert nth(0).css != nth(1).css

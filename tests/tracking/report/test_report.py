import dataclasses
import html
import math
import re
from html.parser import HTMLParser

import pytest

from cnnlab.tracking.compare import compare
from cnnlab.tracking.report import write_report

EVIL = [
    "<script>document.title='pwned'</script>",
    "</script><script>throw 1</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='x",
    "<!-- --> &amp; ]]> \u202e",
]


class Page(HTMLParser):
    """The elements of a page with their attributes' names, its texts, and rows of tables."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.values, self.open, self.texts, self.tables = [], [], [], [], {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, *(name for name, _ in attributes)))
        self.values += [(tag, name, value) for name, value in attributes]
        known = dict(attributes)
        if tag == "table":
            self.rows = self.tables[known["id"].removesuffix("-table")] = []
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append(("", known.get("data-sort")))
        if tag not in ("meta", "wbr"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> ends another element"

    def handle_data(self, data):
        if self.open and self.open[-1] in ("style", "script"):
            return
        self.texts.append(data)
        if "td" in self.open or "th" in self.open:
            text, sort = self.rows[-1][-1]
            self.rows[-1][-1] = (text + data, sort)

    def words(self):
        return " ".join(" ".join(self.texts).split())


def text_of(comparison, tmp_path):
    path = tmp_path / "report.html"
    write_report(comparison, path)
    return path.read_text()


@pytest.fixture
def page(tmp_path):
    return lambda comparison: Page(text_of(comparison, tmp_path))


def test_the_answer_comes_first(study, page):
    own = page(study())
    words = own.words()
    places = [
        words.index(word)
        for word in (
            "At equal parameters, more groups",
            "1 supported, 2 contradicted",
            "g8 beats g1 by",
            "published +1.60 points",  # Table 3: 23.9 - 22.3
            "scale=small",
            "Difference from the baseline",
            "All groups",
            "Learning curves",
            "against cost",
            "What differs",
            "How it was run",
        )
    ]
    assert places == sorted(places)
    assert own.open == []
    ids = [value for _, name, value in own.values if name == "id"]
    assert len(ids) == len(set(ids))


def test_figures_are_the_comparisons(study, page):
    comparison = study()
    rows = page(comparison).tables["groups"]
    assert len(rows) == 6
    for row, group in zip(rows[1:], comparison.groups, strict=True):
        assert group.name in row[0][0]
        assert row[1][0] == str(group.n) == "5"
        assert float(row[2][1]) == group.mean
        assert float(row[2][0]) == pytest.approx(100 * group.mean, abs=0.005)
        assert float(row[3][0]) == pytest.approx(
            50 * (group.interval[1] - group.interval[0]), abs=0.005
        )
    own = page(comparison).tables["paired"]
    assert [float(row[2][1]) for row in own[1:]] == [p.mean for p in comparison.paired]
    assert len(page(comparison).tables["runs"]) == 26
    assert page(comparison).tables["config"][0][1][0] == "model.groups"


def test_a_verdict_alone_and_its_warnings(study, page):
    comparison = study(contrasts=[study.contrast("8 beat one", {"g8": 1.0, "g1": -1.0})])
    comparison.warnings[:] = ["data: other train images"]
    words = page(comparison).words()
    verdict = comparison.verdicts[0]
    assert "Supported" in words
    assert "questions" not in words
    assert words.index("1 warning") < words.index("g8 beats g1") < words.index("other train")
    facts = verdict.sentence[verdict.sentence.index("(95 %") :]
    assert facts in words


@pytest.mark.parametrize("seeds", [1, 2])
def test_few_seeds_are_not_resolved(study, page, seeds):
    words = page(study(seeds=seeds)).words()
    assert "3 not resolved" in words
    assert "nan" not in words.lower()
    assert ("one seed only" in words) == (seeds == 1)


def test_without_a_claim_the_best_is_named(a_run, page):
    runs = [a_run(g, s) for g in (1, 8) for s in range(4)]
    runs.append(a_run(8, 9, status="failed", reason="RuntimeError: no memory"))
    comparison = compared(runs)
    own = page(comparison)
    paired = comparison.paired[0]
    words = own.words()
    assert "groups=8 has the best mean test/top1" in words
    assert f"{100 * paired.mean:+.2f} points against the baseline, groups=1" in words
    assert "No verdict" in words
    assert own.tables["left-out"][1][2][0] == "failed: RuntimeError: no memory"


def test_a_claim_without_a_verdict_says_why(study, page, tmp_path):
    runs = [point.run for group in study().groups for point in group.points]
    for more, why in (
        ({"by": "model.groups"}, "the groups of --by model.groups are not the ablation's arms"),
        ({"metric": "cost/gmacs"}, "the claim is about test/top1, not cost/gmacs"),
    ):
        asked = {"metric": None, "cost": "gmacs", "by": None, "baseline": None} | more
        words = page(compare(runs, **asked)).words()
        assert f"No verdict: {why}." in words
        assert "no claim was written down" not in words


def test_an_interval_of_one_question_of_several_says_so(study, page):
    words = page(study()).words()
    assert "95 % interval of this question alone" in words
    assert "one that does not may still fail Holm's correction" in words
    one = study(contrasts=[study.contrast("8 beat one", {"g8": 1.0, "g1": -1.0})])
    assert "of this question alone" not in page(one).words()


def test_a_group_alone_is_compared_with_nothing(a_run, page):
    own = page(compared([a_run(4, s) for s in range(3)]))
    assert "nothing to compare it with" in own.words()
    assert set(own.tables) == {"groups", "runs"}
    assert "Pareto" not in own.words()


def test_what_is_missing_is_a_dash(a_run, page):
    comparison = compared([a_run(g, 0, costs=False) for g in (1, 8)])
    comparison.groups[1].mean = math.nan
    comparison.groups[1].cost["gmacs"] = math.inf
    row = page(comparison).tables["groups"][2]
    assert [text for text, _ in row[2:5]] == ["-", "-", "-"]
    assert [sort for _, sort in row[2:5]] == [None, None, None]
    words = page(comparison).words().lower()
    assert not re.search(r"\b(nan|none|inf|null)\b", words)


def test_a_loss_is_better_below(a_run, page):
    runs = []
    for g, loss in ((1, 0.9), (8, 0.7)):
        for s in range(3):
            run = a_run(g, s)
            run.metrics["test/loss"] = loss + s / 100
            runs.append(run)
    words = page(compared(runs, "test/loss")).words()
    assert "lower is better" in words
    assert "groups=8 has the best mean test/loss: 0.71" in words
    assert "← better" in words
    assert "points" not in words


def test_names_are_no_markup(a_run, made_run, page, study):
    """The page of evil names has the elements of the page of good ones, in their order."""

    def named(names):
        comparison = study()
        arms = dict(zip([g.name for g in comparison.groups], names, strict=True))
        for group in comparison.groups:
            group.name = arms[group.name]
            group.settings["model.groups"] = group.name
            for point in group.points:
                point.run.name = group.name
                point.run.git["commit"] = "1234567"
        comparison.baseline = arms["g1"]
        comparison.paired = [
            dataclasses.replace(p, group=arms[p.group], baseline=arms["g1"])
            for p in comparison.paired
        ]
        comparison.verdicts[:] = []
        comparison.curves = {
            f"{key} {names[0]}": [dataclasses.replace(c, group=arms[c.group]) for c in curves]
            for key, curves in comparison.curves.items()
        }
        comparison.warnings[:] = comparison.notes[:] = [names[1]]
        comparison.ablation |= {"claim": names[2], "source": names[3]}
        meta = {"title": names[0], "hardware": [names[1]], "data": [names[2]]}
        comparison.meta = dataclasses.replace(comparison.meta, **meta)
        return page(comparison)

    # Names may be broken behind some signs; else every sign becomes a letter.
    evil, good = named(EVIL), named([re.sub(r"[^_=.,/]", "a", name) for name in EVIL])
    assert evil.elements == good.elements
    assert sum(element[0] == "script" for element in evil.elements) == 1
    for name in EVIL:
        assert name in evil.words()


def test_nothing_is_loaded(study, tmp_path):
    text = text_of(study(), tmp_path)
    assert not re.search(r"https?:|url\(|@import|//\w", text.replace("// ", ""))
    own = Page(text)
    assert all(value.startswith("#") for _, name, value in own.values if name == "href")
    assert not any(name in ("src", "srcset", "data", "style") for _, name, _ in own.values)
    policy = next(value for _, name, value in own.values if str(value).startswith("default-src"))
    assert policy.startswith("default-src 'none'")
    assert "script-src 'sha256-" in policy


def test_without_javascript_every_chart_is_there(study, page):
    own = page(study())
    titles = [value for _, name, value in own.values if name == "data-title"]
    assert {"val/top1", "train/loss", "val/top1, second half"} <= set(titles)
    assert {"GMACs", "latency/ms", "params/M"} <= set(titles)


def test_many_groups_and_long_names_stay_readable(a_run, tmp_path):
    names = "a_backbone_with_quite_a_long_name_of_forty_characters"
    runs = [a_run(g, s, keys={"model.name": f"{names}{g}"}) for g in range(1, 41) for s in (0, 1)]
    text = text_of(compared(runs), tmp_path)
    assert len(text) < 1_000_000
    own = Page(text)
    assert len(own.tables["groups"]) == 41
    assert "40 groups" in own.words()


def test_a_thousand_groups_stay_below_four_megabytes(study, tmp_path):
    comparison = study()
    first, curve = comparison.groups[1], comparison.curves["val/top1"][1]
    paired = comparison.paired[0]
    names = [f"group {index}" for index in range(1000)]
    one = dataclasses.replace(first, points=first.points[:1])
    comparison.groups += [dataclasses.replace(one, name=name) for name in names]
    comparison.paired += [dataclasses.replace(paired, group=name) for name in names]
    for curves in comparison.curves.values():
        curves += [dataclasses.replace(curve, group=name) for name in names]
    text = text_of(comparison, tmp_path)
    assert len(text) < 4_000_000
    assert "60 of 1005 groups are drawn" in text
    assert "The 60 largest of 1004 differences" in text
    assert html.unescape(text).count("group 999") >= 3


def test_half_a_surrogate_pair_can_be_written(study, tmp_path):
    comparison = study(claim="half \ud83d of one")
    assert "half ? of one" in text_of(comparison, tmp_path)


def compared(runs, metric=None):
    return compare(runs, metric=metric, cost="gmacs", by=None, baseline=None)

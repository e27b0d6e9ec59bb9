import csv
import io
import re

import pytest
from rich.console import Console

from cnnlab.tracking.compare import compare
from cnnlab.tracking.csv_table import csv_files
from cnnlab.tracking.grids import grids, number, p_value
from cnnlab.tracking.latex import escape as tex
from cnnlab.tracking.latex import latex
from cnnlab.tracking.markdown import escape as md
from cnnlab.tracking.markdown import markdown
from cnnlab.tracking.tables import terminal


@pytest.fixture
def comparison(made_run):
    costs = {"cost/params_m": 25.56, "cost/gmacs": 4.09, "cost/activations_m": 11.1}
    runs = [
        made_run(
            {"model.name": name, "model.groups": g},
            seed=seed,
            top1=0.9 + g / 1000 + seed * seed / 100 * g,
            cost=costs | {"cost/latency_ms": 51.23},
        )
        for name, g in (("50% & more_or|less", 1), ("a_net_with_a_rather_long_name", 4))
        for seed in (0, 1, 2)
    ]
    runs[0].git["dirty"] = True
    runs.append(made_run({"model.name": "broken"}, seed=3, status="failed", reason="$x"))
    return compare(runs, metric=None, cost="latency_ms", by=None, baseline=None)


def text_of(comparison, width):
    out = io.StringIO()
    Console(file=out, width=width).print(terminal(comparison))
    return out.getvalue()


def test_eighty_columns_cut_nothing(comparison):
    text = text_of(comparison, 80)
    assert max(map(len, text.splitlines())) <= 80
    for word in ("0.9", "4.09", "51.23", "± 95 %", "front", "sign flip", "dirty", "failed: $x"):
        assert word in text
    assert "…" not in text
    assert "\x1b" not in text  # no colours in a pipe
    wide = text_of(comparison, 300)
    assert "model.name=a_net_with_a_rather_long_name" in wide


def test_figures_of_all_tables_agree(comparison):
    group = comparison.groups[1]
    figures = [number(group.mean), number(group.sd), "25.56", "4.09"]
    outputs = [text_of(comparison, 300), markdown(comparison), latex(comparison)]
    for text in outputs:
        line = next(li for li in text.splitlines() if "long" in li and "25.56" in li)
        assert all(figure in line for figure in figures)


def test_markdown_is_whole_tables(comparison):
    text = markdown(comparison)
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert len(tables) == len(grids(comparison))
    for table in tables:
        widths = {len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}
        assert len(widths) == 1
    assert "more_or\\|less" in text
    assert "### Unfair or incomplete" in text


def test_markdown_shows_signs_as_they_are():
    assert md("a_b *c* <d> [e] _f_ `g` \\") == "a_b \\*c\\* \\<d\\> \\[e\\] \\_f\\_ \\`g\\` \\\\"


def test_latex_is_booktabs_and_escaped(comparison):
    text = latex(comparison)
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == len(grids(comparison))
    assert text.count(r"\begin{table}") == text.count(r"\end{table}")
    assert r"50\% \& more\_or\textbar{}less" in text
    for table in re.findall(r"\\begin\{tabular\}\{(\w+)\}(.*?)\\end\{tabular\}", text, re.DOTALL):
        for row in re.findall(r"^  (.*) \\\\$", table[1], re.MULTILINE):
            assert len(re.findall(r"(?<!\\)&", row)) == len(table[0]) - 1
    comments = [line for line in text.splitlines() if line.startswith("%")]
    assert any("dirty" in line for line in comments)
    assert any("failed: $x" in line for line in comments)


def test_latex_prints_signs_as_they_are():
    assert tex("[a_b & 5 % ~ ^ # $ { } \\ <") == (
        r"{[}a\_b \& 5 \% \textasciitilde{} \textasciicircum{} \# \$ \{ \} "
        r"\textbackslash{} \textless{}"
    )


def test_csv_has_a_row_a_group_and_a_row_a_run(comparison, tmp_path):
    files = csv_files(comparison, tmp_path / "out.csv")
    groups, runs = (list(csv.DictReader(io.StringIO(text))) for text in files.values())
    assert [path.name for path in files] == ["out.csv", "out-runs.csv"]
    own = comparison.groups[1]
    assert groups[1]["group"] == own.name
    assert float(groups[1]["mean"]) == own.mean  # to the last digit
    assert float(groups[1]["low_95"]) == own.interval[0]
    assert float(groups[1]["p"]) == comparison.paired[0].p
    assert groups[0]["p"] == ""  # the baseline
    assert groups[1]["model.groups"] == "4"
    assert len(runs) == 7
    assert sum(float(run["value"]) for run in runs[3:6]) / 3 == pytest.approx(own.mean)
    assert runs[6]["left_out"] == "failed: $x"
    assert runs[6]["value"] == ""


def test_numbers():
    assert [number(v) for v in (0.98612, 51.234, None, float("nan"))] == [
        "0.9861",
        "51.23",
        "-",
        "-",
    ]
    assert number(0.01, signed=True) == "+0.0100"
    assert [p_value(p) for p in (0.0004, 0.0312, None)] == ["<0.001", "0.031", "-"]

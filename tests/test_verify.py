"""Published numbers: every row within 1 % of what is printed, or with a reason in the data."""

from dataclasses import replace

import pytest

from cnnlab.cli import main
from cnnlab.reference import Row, rows
from cnnlab.verify import Comparison, measure, table


def _cost(row: Row) -> float:
    return row.measured_macs or 0.0


NAMED = [row for row in rows() if row.name]
TIMMS = [row for row in NAMED if row.must_write == "no"]
SMALLEST = {
    min((r for r in TIMMS if r.system == of), key=_cost) for of in {r.system for r in TIMMS}
}


def is_slow(row: Row) -> bool:
    """Of timm's nets the fast tests count the cheapest of each system."""
    return row.must_write == "no" and row not in SMALLEST


CASES = [
    pytest.param(
        row,
        id=f"{row.name}-{row.variant}"[:60],
        marks=[pytest.mark.slow] if is_slow(row) else [],
    )
    for row in NAMED
]


def test_nothing_is_lost():
    assert len(rows()) == 228
    assert len(NAMED) >= 201
    assert len({row.name for row in NAMED}) >= 189
    # What no backbone stands for says why, but for what the decks only name.
    nameless = [row for row in rows() if not row.name and row.must_write != "ref"]
    assert all(row.accepted for row in nameless)
    assert len(nameless) < 20


@pytest.mark.parametrize("row", CASES)
def test_published_numbers(row):
    verdict = measure(row).verdict
    assert verdict in ("equal", "accepted", "uncertain", "nothing published")


RESNET50 = next(row for row in NAMED if row.name == "resnet50" and row.params_m == 25.5)
UNPROVED = replace(RESNET50, measured_params=None, measured_macs=None)
"""As if nobody had built it independently."""


@pytest.mark.parametrize(
    ("row", "params_m", "gmacs", "verdict"),
    [
        (RESNET50, 25.557, 4.089, "equal"),
        (RESNET50, 26.0, 4.089, "DIFFERS"),
        (UNPROVED, 26.0, 4.089, "DIFFERS"),
        (replace(UNPROVED, uncertain=True), 26.0, 4.089, "uncertain"),
        (replace(UNPROVED, accepted="why"), 26.0, 4.089, "accepted"),
        (replace(UNPROVED, accepted="why"), 25.5, 4.089, "stale"),
        (replace(RESNET50, params_m=30.0, accepted="why"), 25.557, 4.089, "accepted"),
        # A reason excuses the published number, not another net.
        (replace(RESNET50, params_m=30.0, accepted="why"), 26.0, 4.089, "DIFFERS"),
        (replace(RESNET50, params_m=30.0, uncertain=True), 25.557, 4.3, "DIFFERS"),
        (replace(UNPROVED, params_m=None, gmacs=None), 1.0, 1.0, "nothing published"),
    ],
)
def test_verdicts(row, params_m, gmacs, verdict):
    assert Comparison(row, params_m, gmacs).verdict == verdict


def test_the_exit_code_says_whether_all_agree(monkeypatch, capsys):
    main(["verify", "lenet5*"])
    assert "lenet5_modern" in capsys.readouterr().out
    wrong = [replace(row, params_m=0.08) for row in NAMED if row.name == "lenet5"]
    monkeypatch.setattr("cnnlab.verify.rows", lambda: wrong)
    with pytest.raises(SystemExit) as stop:
        main(["verify", "lenet5*"])
    assert stop.value.code == 1
    assert "1 DIFFERS" in capsys.readouterr().out


def test_the_table_has_published_beside_measured():
    row = next(row for row in NAMED if row.name == "lenet5")
    _, line = table([Comparison(row, 0.06, 0.00032568)])
    assert line.split()[:4] == ["lenet5", "1x32x32", "0.06", "0.06"]

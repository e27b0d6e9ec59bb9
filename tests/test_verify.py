"""Published numbers: every row within 1 % of what is printed, or with a reason in the data."""

import pytest

from cnnlab.reference import Row, rows
from cnnlab.verify import Comparison, measure, table


def _cost(row: Row) -> float:
    return row.measured_macs or 0.0


NAMED = [row for row in rows() if row.name]
DEEP = ("1202_cifar", "1001_cifar")
TIMMS = [row for row in NAMED if row.must_write == "no"]
SMALLEST = {
    min((r for r in TIMMS if r.system == of), key=_cost) for of in {r.system for r in TIMMS}
}


def is_slow(row: Row) -> bool:
    """Of timm's nets the fast tests count the cheapest of each system."""
    return row.name.endswith(DEEP) or (row.must_write == "no" and row not in SMALLEST)


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
    assert len(NAMED) >= 197
    assert len({row.name for row in NAMED}) >= 185
    # What no backbone stands for says why, but for what the decks only name.
    nameless = [row for row in rows() if not row.name and row.must_write != "ref"]
    assert all(row.accepted for row in nameless)
    assert len(nameless) < 20


@pytest.mark.parametrize("row", CASES)
def test_published_numbers(row):
    comparison = measure(row)
    assert comparison.verdict in ("equal", "accepted", "uncertain", "nothing published")
    # An independent build of the same definition, where there is one.
    if row.measured_params:
        assert comparison.params_m * 1e6 == pytest.approx(row.measured_params, rel=2e-3)
    if row.measured_macs and "(training)" not in row.variant:  # counted with the heads that vanish
        macs = comparison.gmacs * 1e9
        assert macs == pytest.approx(row.measured_macs, rel=2e-3)


def test_verdicts():
    row = next(row for row in NAMED if row.name == "resnet50" and row.params_m == 25.5)
    assert Comparison(row, 25.557, 4.089).verdict == "equal"
    assert Comparison(row, 26.0, 4.089).verdict == "DIFFERS"
    reason = next(row for row in NAMED if row.accepted and row.params_m and row.gmacs)
    assert Comparison(reason, 2 * reason.params_m, reason.gmacs).verdict == "accepted"
    assert Comparison(reason, reason.params_m, reason.gmacs).verdict == "stale"
    unsure = next(row for row in NAMED if row.uncertain and row.gmacs)
    assert Comparison(unsure, unsure.params_m or 1, 2 * unsure.gmacs).verdict == "uncertain"


def test_the_table_has_published_beside_measured():
    row = next(row for row in NAMED if row.name == "lenet5")
    _, line = table([Comparison(row, 0.06, 0.00032568)])
    assert line.split()[:4] == ["lenet5", "1x32x32", "0.06", "0.06"]

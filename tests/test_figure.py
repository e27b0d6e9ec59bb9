import math

from cnnlab.figure import figure


def test_a_figure_that_does_not_exist_is_a_dash() -> None:
    assert [figure(value) for value in (0.98611, 1, math.nan)] == ["0.9861", "1.0000", "-"]
    assert figure(0.98611, 3) == "0.986"

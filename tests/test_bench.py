import pytest

from bench import compare
from bench.__main__ import main


@pytest.mark.parametrize(("allowed_s", "code"), [(1e-9, 1), (1e9, 0)])
def test_a_bench_above_its_limit_is_an_error(allowed_s, code, monkeypatch, capsys):
    """`make bench` must not pass where comparing a thousand runs takes longer than was promised."""
    monkeypatch.setattr("sys.argv", ["bench", "compare"])
    for name, value in (("SHAPES", ((2, 2), (3, 1))), ("ALLOWED_S", allowed_s)):
        monkeypatch.setattr(compare, name, value)
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == code
    assert ("more than 1e-09 s" in capsys.readouterr().err) == (code == 1)

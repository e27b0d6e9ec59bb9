import pytest

from cnnlab.errors import nearest, one_line_errors


@pytest.mark.parametrize(
    ("word", "allowed", "meant"),
    [
        ("grops", ["depth", "groups"], "groups"),
        ("PERSON", ["dog", "person"], "person"),
        ("persons", ["DOG", "PERSON"], "PERSON"),
        ("rbc", ["RBD", "RBC"], "RBC"),
        # Where only the letters' case differs, the word's own counts.
        ("Dogs", ["dog", "Dog", "DOG"], "Dog"),
        ("DOGS", ["dog", "Dog", "DOG"], "DOG"),
        ("zebra", ["dog", "person"], None),
        ("zebra", [], None),
    ],
)
def test_the_nearest_word(word: str, allowed: list[str], meant: str | None) -> None:
    assert nearest(word, allowed) == (f"; did you mean '{meant}'?" if meant else "")


def test_ctrl_c_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end, one_line_errors():
        raise KeyboardInterrupt
    assert end.value.code == 130
    assert capsys.readouterr().err == "\nstopped: Ctrl-C\n"

import ast
import inspect

import pytest

from cnnlab.config import source
from cnnlab.config.types import faults

HERE = source.module("cnnlab.config.types")


def lines(value, annotation, where=HERE):
    return list(faults("k", value, ast.parse(annotation, mode="eval").body, where))


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        ("int", [0, -3], [1.0, True, "1", None, [1]]),
        ("float", [0, 0.5], [False, "0.5", None]),
        ("bool", [True, False], [0, 1, "true"]),
        ("str", ["", "a"], [1, None, True]),
        ("None", [None], [0, "", False]),
        ("int | None", [1, None], [1.5]),
        ("Optional[int]", [1, None], ["a"]),
        ("Union[int, str]", [1, "a"], [1.5, None]),
        ("Literal['sum', 'mean']", ["sum"], ["Sum", 1]),
        ("Literal[1, 2] | None", [1, None], [True, 3]),
        ("typing.Literal['a']", ["a"], ["b"]),
        ("bool | Literal['warn']", [True, "warn"], ["x", 1]),
        ("list", [[], [1, "a"]], ["a", {}]),
        ("list[int]", [[], [1]], [[1.5], [True], 1, None]),
        ("Sequence[float] | None", [[1, 0.5], None], [["a"]]),
        ("tuple[float, float]", [[0.9, 1]], [[0.9], [0.9, 1, 2], ["a", 1]]),
        ("tuple[int, ...]", [[], [1, 2]], [["a"]]),
        ("list[list[int]]", [[[1]]], [[1], [["a"]]]),
        ("dict[str, int]", [{}, {"a": 1}], [{"a": "b"}, [], 1]),
        ("dict", [{"a": []}], [[]]),
        ("Annotated[int, 'unit']", [1], ["a"]),
        ("'int | None'", [1, None], ["a"]),
        ("Path", ["a/b"], [1]),
        ("Any", [1, "a", None, [], {}], []),
        ("Tensor", [1, "a"], []),
        ("int | Tensor", [1, "a"], []),
        ("Callable[[int], int]", ["x"], []),
    ],
)
def test_fits(annotation, good, bad):
    for value in good:
        assert lines(value, annotation) == []
    for value in bad:
        assert len(lines(value, annotation)) == 1, value


@pytest.mark.parametrize("annotation", ["int", "str", "list[int]", "None"])
def test_a_call_is_judged_by_what_it_makes(annotation):
    assert lines({"_target_": "x.y"}, annotation) == []


@pytest.mark.parametrize(
    ("value", "annotation", "said"),
    [
        ("abc", "int", "k=abc: must be a whole number"),
        (True, "float | None", "k=true: must be a number or null"),
        ("x", "int | Literal['auto']", "k=x: must be a whole number or auto"),
        ("meen", "Literal['sum', 'mean']", "k=meen: must be sum or mean; did you mean 'mean'?"),
        ([1], "tuple[float, float]", "k=[1]: must be a list of 2: a number, a number"),
        (["a"], "list[int]", "k=['a']: must be a list, each a whole number"),
        (3, "str | None", "k=3: must be text or null; text is quoted twice: k='\"3\"'"),
    ],
)
def test_what_is_said(value, annotation, said):
    assert lines(value, annotation) == [said]


RECORDS = {
    "mylab/__init__.py": "",
    "mylab/augment.py": """\
        from dataclasses import dataclass
        from typing import Literal, TypedDict

        Policy = Literal["rand", "trivial"]

        @dataclass
        class Augment:
            flip: bool
            policy: Policy | None
            scale: list[float]
            padding: int = 0

        class Stage(TypedDict):
            depth: int
        """,
    "mylab/data.py": """\
        from mylab.augment import Augment
        from mylab.augment import Stage as Level
        Size = int | "Pair"
        Pair = tuple[int, int]
        """,
}
AUGMENT = {"flip": True, "policy": None, "scale": [0.1, 1]}


@pytest.mark.parametrize(
    ("value", "annotation", "said"),
    [
        (AUGMENT, "Augment", []),
        (AUGMENT | {"padding": 4}, "Augment | None", []),
        (None, "Augment | None", []),
        (None, "Augment", ["k=null: must be a dict"]),
        (AUGMENT | {"flip": 1}, "Augment", ["k.flip=1: must be true or false"]),
        (
            AUGMENT | {"policy": "tryvial"},
            "Augment | None",
            ["k.policy=tryvial: must be rand or trivial or null; did you mean 'trivial'?"],
        ),
        (
            AUGMENT | {"flipp": 1},
            "Augment",
            ["k.flipp: no such config key; did you mean 'flip'?"],
        ),
        ({"flip": True, "scale": []}, "Augment", ["k.policy: missing"]),
        ([AUGMENT], "list[Augment]", []),
        ([AUGMENT, AUGMENT | {"flip": 1}], "list[Augment]", ["k.1.flip=1: must be true or false"]),
        ({"a": {"depth": 1}}, "dict[str, Level]", []),
        ({"a": 1, "b": "x"}, "dict[str, int] | None", ["k.b=x: must be a whole number"]),
        ({"a": {"depth": 1.5}}, "dict[str, Level]", ["k.a.depth=1.5: must be a whole number"]),
        (
            [{"depht": 1}],
            "list[Level] | None",
            ["k.0.depht: no such config key; did you mean 'depth'?", "k.0.depth: missing"],
        ),
        (3, "Size", []),
        ([3, 3], "Size", []),
        (
            [3],
            "Size",
            ["k=[3]: must be a whole number or a list of 2: a whole number, a whole number"],
        ),
    ],
)
def test_records_and_aliases_of_our_own(lab, value, annotation, said):
    lab(RECORDS)
    assert lines(value, annotation, source.module("mylab.data")) == said


def test_third_party_names_are_not_followed(lab, monkeypatch):
    lab(RECORDS)
    monkeypatch.delenv("CNNLAB_ALLOW")
    assert lines({"anything": 1}, "Augment", source.module("mylab.data")) == []


def test_the_real_augment():
    from cnnlab.data import module

    annotation = inspect.signature(module.DataModule).parameters["augment"].annotation
    assert annotation.__name__ == "Augment"
    said = lines({"paddding": 1}, "Augment", source.module("cnnlab.data.module"))
    assert said[0].startswith("k.paddding: no such config key; did you mean 'padding'?")

import numpy as np
import pytest

from cnnlab.data.class_map import ClassMap, UnknownValueError
from cnnlab.errors import UserError


def test_ids_follow_the_order_of_names() -> None:
    class_map = ClassMap({9: "road", 0: "ignore", 300: "car", 4: "road", 255: "sky"})
    assert class_map.classes == ["road", "car", "sky"]
    raw = np.array([[9, 0, 300], [4, 255, 9]], np.uint16)
    ids = class_map(raw)
    assert ids.dtype == np.uint8
    assert ids.tolist() == [[0, 255, 1], [0, 2, 0]]


def test_values_without_a_name_are_listed() -> None:
    class_map = ClassMap({0: "a", 1: "b"})
    with pytest.raises(UnknownValueError, match=r"^2, 77$"):
        class_map(np.array([[77, 0], [2, 77]], np.uint8))
    with pytest.raises(UnknownValueError, match=r"^2, .*, 11, \.\.\.$"):
        class_map(np.arange(20, dtype=np.uint8)[None])


def test_254_classes_fit_and_none_of_them_is_ignored() -> None:
    class_map = ClassMap({i: f"class {i}" for i in range(254)} | {254: "ignore"})
    ids = class_map(np.arange(255, dtype=np.uint8)[None])[0]
    assert ids.tolist() == [*range(254), 255]


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({0: "ignore", 1: "ignore"}, r"data\.values=.*no class is left after 'ignore'"),
        ({-1: "a"}, r"data\.values: -1 is no value of a mask; they are 0 to 65535"),
        ({65536: "a"}, r"data\.values: 65536 is no value"),
        ({"3": "a"}, r"data\.values: '3' is no value"),
        ({True: "a"}, r"data\.values: True is no value"),
        ({i: str(i) for i in range(255)}, r"data\.values: 255 classes; at most 254"),
    ],
)
def test_maps_that_cannot_be_meant(values: dict, match: str) -> None:
    with pytest.raises(UserError, match=match) as caught:
        ClassMap(values)
    assert "\n" not in str(caught.value)


def test_one_class_is_nothing_to_tell_apart():
    with pytest.raises(UserError, match="one class alone"):
        ClassMap({255: "cell", 0: "ignore"})


@pytest.mark.parametrize("name", ["ignored", "Ignore", "ignor"])
def test_a_name_that_is_nearly_ignore_is_no_class(name):
    with pytest.raises(UserError, match=f"'{name}' would be a class; did you mean 'ignore'"):
        ClassMap({0: "cell", 1: "wall", 255: name})

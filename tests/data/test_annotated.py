import pytest

from cnnlab.data.annotated import Annotated
from cnnlab.errors import UserError

FOUND = Annotated({5: "RBC", 2: "WBC", 9: "Platelets"})


def test_all_or_those_named_in_that_order() -> None:
    assert FOUND.chosen(None) == {5: 0, 2: 1, 9: 2}
    assert FOUND.chosen(["Platelets", "RBC"]) == {9: 0, 5: 1}


def test_of_a_part_of_a_set_classes_are_missing() -> None:
    """But not one to which a name is near that stands for nothing else."""
    assert FOUND.chosen(["zebra", "WBC"]) == {2: 1}
    animals = Annotated({0: "car", 1: "cow"})
    assert animals.chosen(["car", "cat", "cow"]) == {0: 0, 1: 2}  # `car` is itself
    with pytest.raises(UserError, match="'cat' is in no annotation; did you mean 'car'"):
        animals.chosen(["cat", "cow"])


def test_many_names_are_told_in_part() -> None:
    found = Annotated({k: f"name {k}" for k in range(23)})
    with pytest.raises(UserError, match=r"there are name 0, .*, name 19 and 3 more$"):
        found.chosen(["zebra"])


@pytest.mark.parametrize(
    ("classes", "says"),
    [
        (
            ["RBC", "Platelet"],
            r"data\.classes: 'Platelet' is in no annotation; did you mean 'Platelets'\?",
        ),
        (["PLATELET", "WBC"], "'PLATELET' is in no annotation; did you mean 'Platelets'"),
        (["zebra", "yak"], "none of them is in an annotation; there are RBC, WBC, Platelets$"),
        ([], r"data\.classes=\[\]: none of them"),
        (["RBC", "RBC"], "a class is named twice"),
    ],
)
def test_wrong_names(classes: list[str], says: str) -> None:
    with pytest.raises(UserError, match=says):
        FOUND.chosen(classes)

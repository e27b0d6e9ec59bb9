import pytest

from cnnlab.data.annotated import Annotated
from cnnlab.errors import UserError

FOUND = Annotated({5: "RBC", 2: "WBC", 9: "Platelets"})


def test_all_or_those_named_in_that_order() -> None:
    assert FOUND.chosen(None) == {5: 0, 2: 1, 9: 2}
    assert FOUND.chosen(["Platelets", "RBC"]) == {9: 0, 5: 1}


@pytest.mark.parametrize(
    ("classes", "says"),
    [
        (
            ["RBC", "Platelet"],
            r"data\.classes: 'Platelet' is in no annotation; did you mean 'Platelets'\?",
        ),
        (["zebra"], r"'zebra' is in no annotation; there are RBC, WBC, Platelets$"),
        (["RBC", "RBC"], "a class is named twice"),
    ],
)
def test_wrong_names(classes: list[str], says: str) -> None:
    with pytest.raises(UserError, match=says):
        FOUND.chosen(classes)

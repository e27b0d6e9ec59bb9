import re
from collections.abc import Callable
from pathlib import Path

import pytest

from cnnlab.data.csv_rows import Row, read_rows
from cnnlab.errors import UserError


@pytest.fixture
def rows(tree: Callable[..., Path]) -> Callable[[str], list[Row]]:
    root = tree("a.png", "b.png", "deep/c.png")

    def read(text: str) -> list[Row]:
        (root / "list.csv").write_text(text, encoding="utf-8")
        return read_rows(root / "list.csv", root)

    return read


def test_columns_are_found_by_name_in_any_order(rows: Callable[[str], list[Row]]) -> None:
    assert rows("\ufeffsplit,label,extra,path\nval,cat,1,a.png\ntrain, dog ,2, deep/c.png \n") == [
        Row("a.png", ("cat",), "val"),
        Row("deep/c.png", ("dog",), "train"),
    ]


def test_without_a_split_everything_is_train(rows: Callable[[str], list[Row]]) -> None:
    assert rows('path,label\na.png,"big, grey cat"\n') == [
        Row("a.png", ("big, grey cat",), "train")
    ]


def test_several_labels_and_none(rows: Callable[[str], list[Row]]) -> None:
    found = rows("path,label\na.png,x|y | x\nb.png,\ndeep/c.png,z\n")
    assert [row.labels for row in found] == [("x", "y"), (), ("z",)]


def test_absolute_paths_are_taken(tree: Callable[..., Path], tmp_path: Path) -> None:
    image = tree("a.png") / "a.png"
    file = tmp_path / "elsewhere.csv"
    file.write_text(f"path,label\n{image},x\n")
    assert read_rows(file, Path("/nowhere"))[0].path == str(image)


MANY = "path,label\n" + "".join(f"gone{i:02}.png,x\n" for i in range(13))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "has no column 'path'"),
        ("path,label\n", "has no rows"),
        ("path,lable\na.png,x\n", r"no column 'label'.*\(path, lable\).*did you mean 'lable'"),
        (
            "path,label,split\na.png,x,train\nb.png,x,dev\ndeep/c.png,x,\n",
            r"2 rows have a split that is none of train, val, test: line 3: 'dev', line 4: ''",
        ),
        (
            "path,label\na.png,x\nb.png,\ndeep/c.png\n",
            r"2 rows have no label: line 3: b\.png, line",
        ),
        ("path,label\na.png,x\nb.png,y\na.png,y\n", r"1 paths come twice: a\.png in lines 2 and 4"),
        (
            MANY,
            r"13 images do not exist below data\.root=.*: gone00\.png, .*gone09\.png and 3 more$",
        ),
        ("path,label\na.png,x\n,y\n", "1 images do not exist"),
        ('path,label\n"a.png,x\n', "cannot be read"),
    ],
)
def test_faults_are_listed(rows: Callable[[str], list[Row]], text: str, match: str) -> None:
    with pytest.raises(UserError, match=match):
        rows(text)


def test_files_that_are_no_table(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.file=.*gone\.csv not found.*docs/data\.md"):
        read_rows(tmp_path / "gone.csv", tmp_path)
    (tmp_path / "binary.csv").write_bytes(b"path,label\n\xff\xfe\x00,x\n")
    with pytest.raises(UserError, match=re.escape("binary.csv cannot be read")):
        read_rows(tmp_path / "binary.csv", tmp_path)

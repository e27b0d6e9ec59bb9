import math
from pathlib import Path

import pytest

from cnnlab.data.yolo_file import read_yolo
from cnnlab.errors import UserError


def read(tmp_path: Path, text: str) -> list:
    file = tmp_path / "a.txt"
    file.write_text(text)
    return read_yolo(file, 3)


def test_boxes_and_polygons(tmp_path: Path) -> None:
    found = read(tmp_path, "0 0.5 0.25 0.25 0.5\n\n2 0.1 0.2 0.3 0.9 0.05 0.6\r\n1.0 .5 .5 1 1")
    assert [box.label for box in found] == [0, 2, 1]
    assert [box.line for box in found] == [1, 3, 4]
    assert found[0].xyxy == (0.375, 0.0, 0.625, 0.5)
    assert found[1].xyxy == (0.05, 0.2, 0.3, 0.9)  # around the triangle
    assert found[2].xyxy == (0, 0, 1, 1)


def test_an_empty_file_has_no_box(tmp_path: Path) -> None:
    assert read(tmp_path, "\n") == []


def test_nan_is_passed_on_to_the_policy(tmp_path: Path) -> None:
    plain, polygon = read(tmp_path, "0 nan 0.5 0.1 0.1\n0 0.1 0.1 nan 0.2 0.3 0.3\n")
    assert any(map(math.isnan, plain.xyxy))
    assert any(map(math.isnan, polygon.xyxy))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("3 0.5 0.5 0.1 0.1", "line 2: class id 3, and there are 3 names, 0 to 2"),
        ("-1 0.5 0.5 0.1 0.1", "line 2: class id -1, and there are 3 names"),
        ("0.5 0.5 0.5 0.1 0.1", "line 2: class id '0.5' must be a whole number"),
        ("inf 0.5 0.5 0.1 0.1", "line 2: class id 'inf' must be a whole number"),
        ("cat 0.5 0.5 0.1 0.1", "line 2: must be numbers: could not convert .*'cat'"),
        ("0 0.5 0.5 0.1 x", "line 2: must be numbers"),
        ("0 0.5 0.5 0.1 0.1 0.9", "line 2: has 6 numbers; 'class cx cy w h', or"),
        ("0 0.5 0.5", "line 2: has 3 numbers"),
        ("0", "line 2: has 1 numbers"),
    ],
)
def test_what_is_wrong_names_file_and_line(tmp_path: Path, line: str, says: str) -> None:
    with pytest.raises(UserError, match=rf"a\.txt, {says}"):
        read(tmp_path, f"0 0.5 0.5 0.1 0.1\n{line}\n")


def test_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"a\.txt: is no text in UTF-8"):
        read_yolo(tmp_path / "a.txt", 3)

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from cnnlab.data.check_masks import check_masks
from cnnlab.data.class_map import ClassMap
from cnnlab.data.mask_files import MaskFiles, Pairs
from cnnlab.data.names import Names
from cnnlab.errors import UserError

VALUES = {0: "sky", 7: "a long name", 9: "none", 255: "ignore"}


@pytest.fixture
def source(mask_tree: Callable[..., Path]) -> Callable[..., MaskFiles]:
    """A pair for each; 24 x 20 pixels, 20 rows of these values as stripes."""

    def make(*masks: Any) -> MaskFiles:
        files = {f"images/{i}.png": None for i in range(len(masks))}
        root = mask_tree(files | {f"masks/{i}.png": mask for i, mask in enumerate(masks)})
        pairs = Pairs(Names.of(files), Names.of(f"masks/{i}.png" for i in range(len(masks))))
        return MaskFiles(root, pairs, ClassMap(VALUES), "error")

    return make


def test_a_line_for_each_value(source: Callable[..., MaskFiles]) -> None:
    report = check_masks({"train": source([0, 7, 7, 255], [0])})
    # 24 columns: 6 + 24 of sky, 12 of 7, 6 ignored; times 20 rows.
    assert report.splits["train"].pixels == {0: 600, 7: 240, 255: 120}
    assert report.splits["train"].images == {0: 2, 7: 1, 255: 1}
    lines = [" ".join(line.split()) for line in report.lines()]
    assert lines == [
        "train: 2 of 2 pairs opened",
        "value class pixels counting images",
        "0 sky 62.50% 71.43% 2",
        "7 a long name 25.00% 28.57% 1",
        "9 none 0.00% 0.00% 0",
        "255 ignore 12.50% - 1",
    ]
    assert len({len(line) for line in report.lines()[1:]}) == 1  # a table
    report.refuse("error")


def test_what_is_broken_is_named_with_its_file(source: Callable[..., MaskFiles]) -> None:
    made = source([0, 33, 44], [7], [255], [0, 7], "", [0])
    Path(made.root, "images/4.png").write_bytes(b"<html>")
    mask = Path(made.mask_path(3))
    mask.write_bytes(Path(made.root, "images/5.png").read_bytes())  # colours
    Image.new("L", (24, 19)).save(made.mask_path(5))
    report = check_masks({"val": made})
    text = "\n".join(report.lines())
    assert f"  {made.mask_path(0)}: 33, 44" in report.lines()
    assert report.lines().count("1 have values that data.values does not name") == 1
    assert report.lines().count("1 have nothing but ignored pixels") == 1
    assert f"  {made.mask_path(2)}" in report.lines()
    assert report.lines().count("2 cannot be read") == 1
    assert "mask of image 3" in text
    assert "mode RGB" in text
    assert "image 4, " in text
    assert report.lines().count("1 differ in size from their image") == 1
    assert "5.png: is 24 x 19 pixels and its image images/5.png 24 x 20" in text
    assert [line.split()[:2] for line in report.lines() if line.startswith("     33")] == [
        ["33", "unknown"]
    ]
    with pytest.raises(UserError, match=r"1 masks have unknown values and 1 another size .*above"):
        report.refuse("skip")


def test_ten_of_a_kind_are_shown(source: Callable[..., MaskFiles]) -> None:
    report = check_masks({"train": source(*[[3]] * 13)})
    assert report.lines()[-1] == "  and 3 more"
    assert sum(line.endswith(".png: 3") for line in report.lines()) == 10


def test_what_cannot_be_read_may_be_skipped(source: Callable[..., MaskFiles]) -> None:
    report = check_masks({"train": source([0], "")})
    report.refuse("skip")
    with pytest.raises(UserError, match=r"1 files cannot be read .*data\.bad_files=skip"):
        report.refuse("error")


def test_a_split_without_a_class_is_refused(source: Callable[..., MaskFiles]) -> None:
    made = source([0], [255], [255])
    splits = {"train": made, "val": made.subset(torch.tensor([1, 2]))}
    report = check_masks(splits)
    assert "  " + made.mask_path(1) in report.lines()
    with pytest.raises(UserError, match=r"^val: no class is left: every pixel is ignored$"):
        report.refuse("error")


def test_of_a_large_split_as_many_evenly_spaced(source: Callable[..., MaskFiles]) -> None:
    made = source([0], [7], [0], [7], [0], [7], [0], [7])
    report = check_masks({"train": made}, most=4)
    assert report.lines()[0] == "train: 4 of 8 pairs opened"
    assert report.splits["train"].images == {0: 4}  # 0, 2, 4, 6

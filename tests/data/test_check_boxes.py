from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from cnnlab.data.box_files import BoxFiles
from cnnlab.data.box_rows import BoxRows
from cnnlab.data.check_boxes import check_boxes
from cnnlab.errors import UserError

AREAS = [1023, 1024, 9215, 9216, 500, 2000]


@pytest.fixture
def source(tmp_path: Path) -> Callable[[], BoxFiles]:
    """Image k, 200 x 100, has one box, of class k % 2 and of `AREAS[k]`; the last has a crowd."""

    def make() -> BoxFiles:
        rows = BoxRows(lambda image, mark: image, relative=False)
        for k, area in enumerate(AREAS):
            Image.new("RGB", (200, 100)).save(tmp_path / f"{k}.jpg")
            rows.add_image(f"{k}.jpg", 100, 200)
            rows.add_box(k, (1, 1, 190, 90), k % 2, 1, area=area, crowd=k == 5)
            rows.add_box(k, (1, 1, 210 if k == 2 else 190, 90), 9, 2)
        rows.add_box(3, (1, 50, 1, 90), 0, 3)
        rows.add_box(4, (1, 50, 203, 90), 1, 3)
        Image.new("RGB", (200, 100)).save(tmp_path / "6.jpg")
        rows.add_image("6.jpg", 100, 200)
        return BoxFiles(tmp_path, rows.table({0: 0, 1: 1}, "clip").table, "error")

    return make


def test_boxes_by_class_and_size(source: Callable[[], BoxFiles]) -> None:
    report = check_boxes({"train": source()}, ["cat", "dog"])
    assert report.lines() == [
        "train: 7 of 7 images opened; 1 without boxes, 1 crowds, 1 bad boxes clipped, 1 dropped",
        "  class     boxes     small    medium     large  images",
        # 1023, 9215 and 500 of class 0; 1024, 9216 and the clipped 199 x 40 of class 1
        "  cat           3         2         1         0       3",
        "  dog           3         0         2         1       3",
    ]
    report.refuse("error")


def test_what_is_wrong_is_named(source: Callable[[], BoxFiles], tmp_path: Path) -> None:
    files = source()
    (tmp_path / "0.jpg").write_bytes(b"x")
    Image.new("RGB", (100, 200)).save(tmp_path / "1.jpg")
    report = check_boxes({"val": files}, ["cat", "dog"])
    said = "\n".join(report.lines())
    assert "1 cannot be read\n  image 0, " in said
    assert f"{tmp_path / '1.jpg'}: is 100 x 200 pixels, and its annotation says 200 x 100" in said
    with pytest.raises(UserError, match="1 images have another size than their annotation says"):
        report.refuse("skip")
    report.sizes.clear()
    report.refuse("skip")
    with pytest.raises(UserError, match=r"1 files cannot be read .*data\.bad_files=skip"):
        report.refuse("error")


def test_of_large_splits_some_evenly(source: Callable[[], BoxFiles]) -> None:
    report = check_boxes({"train": source()}, ["cat", "dog"], most=3)
    # Images 0, 2 and 4.
    assert report.splits["train"].opened == 3
    assert report.splits["train"].images.tolist() == [3, 1]

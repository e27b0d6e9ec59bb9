import gc
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from cnnlab.data.box_files import BoxFiles
from cnnlab.data.box_rows import BoxRows
from cnnlab.data.box_table import BoxTable, rows_of

ALONE = "CNNLAB_TEST_ALONE"


def table(images: int, boxes: int) -> BoxTable:
    """Box j is of image j * 7 % images, of class j % 5, and j pixels to the right."""
    rows = BoxRows(lambda image, mark: "", relative=False)
    for i in range(images):
        rows.add_image(f"folder/{i:08}.jpg", 1000, 1_000_000)
    for j in range(boxes):
        rows.add_box(j * 7 % images, (j, 0, j + 10, 20), j % 5, j, crowd=j % 11 == 0)
    return rows.table({k: k for k in range(5)}, "error").table


def test_boxes_of_an_image() -> None:
    boxes = table(5, 23).boxes(2)
    those = [j for j in range(23) if j * 7 % 5 == 2]
    assert boxes.xyxy[:, 0].tolist() == those
    assert boxes.label.tolist() == [j % 5 for j in those]
    assert boxes.crowd.tolist() == [j % 11 == 0 for j in those]
    assert boxes.area.tolist() == [200] * len(those)
    assert boxes.image.tolist() == [0] * len(those)


def test_what_is_given_away_is_a_copy() -> None:
    whole = table(3, 9)
    before = whole.xyxy.clone()
    whole.boxes(1).xyxy.fill_(-1)
    assert torch.equal(whole.xyxy, before)


def test_take_in_any_order() -> None:
    whole = table(6, 40)
    ids = torch.tensor([4, 1, 3])
    part = whole.take(ids)
    assert list(part.names) == [whole.names[i] for i in (4, 1, 3)]
    assert part.counts().tolist() == whole.counts()[ids].tolist()
    for new, old in enumerate(ids.tolist()):
        assert all(
            torch.equal(a, b) for a, b in zip(part.boxes(new), whole.boxes(old), strict=True)
        )


def test_take_nothing_and_images_without_boxes() -> None:
    whole = table(10, 2)  # images 0 and 7
    assert whole.take(torch.tensor([3, 4])).first.tolist() == [0, 0, 0]
    assert whole.take(torch.zeros(0, dtype=torch.int64)).first.tolist() == [0]
    assert whole.boxes(3).xyxy.shape == (0, 4)


def test_rows_of_repeated_images() -> None:
    which, image = rows_of(torch.tensor([0, 2, 2, 5]), torch.tensor([2, 0, 1, 2]))
    assert which.tolist() == [2, 3, 4, 0, 1, 2, 3, 4]
    assert image.tolist() == [0, 0, 0, 1, 1, 3, 3, 3]


def reachable(start: object) -> int:
    """How many objects a worker would count references to."""
    seen, open_ = {id(start)}, [start]
    while open_:
        for other in gc.get_referents(open_.pop()):
            # Not through classes into the whole program.
            if not isinstance(other, type) and id(other) not in seen:
                seen.add(id(other))
                open_.append(other)
    return len(seen)


def test_100_000_boxes_are_as_few_objects_as_10() -> None:
    few, many = (BoxFiles(Path("x"), table(n, 10 * n), "error") for n in (1, 10_000))
    assert len(many.table.label) == 100_000
    assert reachable(many.table) == reachable(few.table)
    # xyxy 16, label 8, crowd 1, area 4, clipped 1 bytes a box; five numbers and a name an image.
    assert len(pickle.dumps(many)) < 100_000 * 30 + 10_000 * 80
    assert isinstance(many.targets, torch.Tensor)


def test_reading_keeps_nothing_that_grows() -> None:
    """A pass over all images leaves as many objects as before."""
    whole = table(1000, 10_000)
    before = reachable(whole)
    total = sum(float(whole.boxes(i).xyxy[:, 0].sum()) for i in range(1000))
    assert total == np.arange(10_000).sum()
    assert reachable(whole) == before


def test_a_pass_over_400_000_boxes_copies_none_into_a_worker(
    request: pytest.FixtureRequest, growth_mb: Callable[..., float]
) -> None:
    if ALONE not in os.environ:  # a long test process has megabytes of freed pieces to fill
        words = ["-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", request.node.nodeid]
        alone = subprocess.run(
            [sys.executable, *words],
            cwd=request.config.rootpath,
            env=os.environ | {ALONE: "1"},
            capture_output=True,
            text=True,
        )
        assert alone.returncode == 0, alone.stdout + alone.stderr
        assert "1 passed" in alone.stdout
        return
    images = 40_000
    files = BoxFiles(Path("x"), table(images, 10 * images), "error")
    size_mb = len(pickle.dumps(files)) / 2**20
    as_lists = [[tuple(box) for box in files.table.boxes(i).xyxy.tolist()] for i in range(images)]

    def read_table(different: int = images) -> None:
        for i in range(images):
            files.table.boxes(i % different)

    def read_lists() -> None:
        for of_image in as_lists:
            for box in of_image:
                sum(box)

    assert growth_mb(read_table, lambda: read_table(10)) < size_mb / 3
    assert growth_mb(read_lists) > size_mb, "copies are seen"

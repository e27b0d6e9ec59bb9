from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cnnlab.data.batch import Boxes
from cnnlab.data.box_files import BoxFiles, Seen, SizesDifferError, turned
from cnnlab.data.box_rows import BoxRows
from cnnlab.data.decode import _UPRIGHT
from cnnlab.data.unreadable import UnreadableError
from cnnlab.errors import UserError

BOX = (4, 6, 16, 30)  # in the stored image, 40 wide and 50 high
ORIENTATION = 274


def marked(height: int = 50, width: int = 40) -> np.ndarray:
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[BOX[1] : BOX[3], BOX[0] : BOX[2]] = 255
    return pixels


def extent(pixels: np.ndarray) -> list[int]:
    """x1, y1, x2, y2 of what is bright."""
    rows, columns = np.nonzero(pixels[..., 0] > 127)
    return [int(v) for v in (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)]


def source(root: Path, sizes: Sequence[tuple[int, int]], *, relative: bool = False) -> BoxFiles:
    """`0.png`, `1.png` ... with annotations that say these heights and widths."""
    rows = BoxRows(lambda image, mark: "", relative=relative)
    for i, (height, width) in enumerate(sizes):
        rows.add_image(f"{i}.png", height, width)
        scale = (1 / 40, 1 / 50) * 2 if relative else (1, 1, 1, 1)
        rows.add_box(i, [side * s for side, s in zip(BOX, scale, strict=True)], 0, 1)
    return BoxFiles(root, rows.table({0: 0}, "error").table, "error")


def save(file: Path, orientation: int = 1) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(marked()).save(file, exif=exif)


def test_an_image_and_its_boxes(tmp_path: Path) -> None:
    save(tmp_path / "0.png")
    pixels, boxes = source(tmp_path, [(50, 40)]).read(0)
    assert boxes.xyxy.tolist() == [extent(pixels)] == [list(BOX)]
    assert boxes.area.tolist() == [12 * 24]


def test_relative_boxes_become_pixels(tmp_path: Path) -> None:
    save(tmp_path / "0.png")
    pixels, boxes = source(tmp_path, [(0, 0)], relative=True).read(0)
    torch.testing.assert_close(boxes.xyxy, torch.tensor([extent(pixels)]).float())
    torch.testing.assert_close(boxes.area, torch.tensor([12.0 * 24]))


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_boxes_of_the_stored_image_turn_with_it(tmp_path: Path, orientation: int) -> None:
    save(tmp_path / "0.png", orientation)
    pixels, boxes = source(tmp_path, [(50, 40)]).read(0)
    assert pixels.shape == (40, 50, 3)
    assert boxes.xyxy.tolist() == [extent(pixels)]


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_jpeg_too(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(marked()).save(tmp_path / "0.png", "JPEG", exif=exif, quality=100)
    pixels, boxes = source(tmp_path, [(50, 40)]).read(0)
    assert boxes.xyxy.tolist() == [extent(pixels)]


@pytest.mark.parametrize("orientation", range(2, 9))
def test_boxes_of_the_upright_image_stay(tmp_path: Path, orientation: int) -> None:
    save(tmp_path / "0.png", orientation)
    said = (40, 50) if orientation > 4 else (50, 40)
    pixels, boxes = source(tmp_path, [said]).read(0)
    assert pixels.shape[:2] == said
    assert boxes.xyxy.tolist() == [list(BOX)]
    relative = source(tmp_path, [(0, 0)], relative=True).read(0).boxes
    height, width = said
    expected = torch.tensor(BOX) / torch.tensor([40, 50] * 2) * torch.tensor([width, height] * 2)
    torch.testing.assert_close(relative.xyxy[0], expected)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_turned_is_what_happens_to_the_pixels(orientation: int) -> None:
    upright = _UPRIGHT[orientation](marked())
    boxes = turned(torch.tensor([BOX]), (50, 40), orientation)
    assert boxes.tolist() == [extent(upright)]


@pytest.mark.parametrize("said", [(40, 50), (50, 41), (51, 40)])
def test_other_sizes_are_refused(tmp_path: Path, said: tuple[int, int]) -> None:
    save(tmp_path / "0.png")
    files = source(tmp_path, [said])
    files.transform = Untouched()
    with pytest.raises(SizesDifferError) as caught:
        files.read(0)
    assert str(caught.value) == (
        f"{tmp_path / '0.png'}: is 40 x 50 pixels, and its annotation says {said[1]} x {said[0]}"
    )
    files.bad_files = "skip"
    with pytest.raises(UserError, match="its annotation says"):
        files.load(0, 0)


class Untouched:
    """Asks for sample 1 besides sample 0, and says what it got."""

    def __init__(self) -> None:
        self.got: list[bool] = []

    def partners(self, epoch: int, id: int, total: int) -> list[int]:
        return [1] if id == 0 and total > 1 else []

    def __call__(
        self, seen: Seen, others: Sequence[Seen | None], epoch: int, id: int
    ) -> tuple[torch.Tensor, Boxes, torch.Tensor]:
        self.got += [other is not None for other in others]
        return torch.from_numpy(seen.pixels), seen.boxes, torch.zeros(4)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    save(tmp_path / "0.png")
    (tmp_path / "1.png").write_bytes(b"<html>")
    files = source(tmp_path, [(50, 40)] * 3)
    files.transform = transform = Untouched()
    with pytest.raises(UnreadableError, match=r"image 2, .*2\.png, cannot be read: No such file"):
        files.read(2)
    with pytest.raises(UserError, match=r"1\.png, cannot be read: .* HTML .*data.bad_files=skip"):
        files.load(1, 0)
    with pytest.raises(UserError, match=r"1\.png"):  # as a partner
        files.load(0, 0)
    files.bad_files = "skip"
    assert files.load(1, 0) is None
    assert files.load(2, 0) is None
    assert files.load(0, 0) is not None
    assert transform.got == [False]


def test_digests_tell_apart(tmp_path: Path) -> None:
    one = source(tmp_path, [(50, 40)] * 3)
    digests = {one.digest(), one.subset(torch.tensor([0, 1])).digest()}
    digests.add(source(tmp_path, [(50, 41)] * 3).digest())
    digests.add(source(tmp_path, [(0, 0)] * 3, relative=True).digest())
    for name in ("xyxy", "label", "area"):
        part = getattr(one.table, name).clone()
        part[2] += 1
        other = one.table._replace(**{name: part})
        digests.add(BoxFiles(tmp_path, other, "error").digest())
    assert len(digests) == 7
    assert one.digest() == source(tmp_path, [(50, 40)] * 3).digest()

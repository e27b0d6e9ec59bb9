from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from cnnlab.data.augment import Augment
from cnnlab.data.batch import Boxes
from cnnlab.data.box_files import Seen
from cnnlab.data.box_transforms import (
    LEAST_SIDE,
    VISIBLE,
    BoxEvalTransform,
    BoxTrainTransform,
    windowed,
)

MEAN = [0.2, 0.3, 0.4]
FILL = torch.tensor([51, 76, 102], dtype=torch.uint8)


def boxes_of(*corners: tuple[float, ...]) -> Boxes:
    xyxy = torch.tensor(corners, dtype=torch.float32).view(-1, 4)
    area = (xyxy[:, 2:] - xyxy[:, :2]).prod(1)
    number = torch.arange(len(xyxy))
    return Boxes(xyxy, number, torch.zeros_like(number), number % 2 == 1, area)


def marked(height: int, width: int, *corners: tuple[int, int, int, int]) -> Seen:
    """Object k is bright where no other is: 250 in channel k, on 100."""
    pixels = np.full((height, width, 3), 100, np.uint8)
    for k, (x1, y1, x2, y2) in enumerate(corners):
        pixels[y1:y2, x1:x2, k] = 250
    return Seen(pixels, boxes_of(*corners))


def extent(image: Tensor, channel: int) -> Tensor | None:
    """x1, y1, x2, y2 of what is bright in a channel, where the edge is half bright."""
    rows, columns = (image[channel] > 175).nonzero().unbind(1)
    if not len(rows):
        return None
    return torch.stack((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)).float()


@pytest.fixture
def build(no_augment: dict[str, Any]) -> Any:
    def transform(size: tuple[int, int] | None, seed: int = 0, **changes: Any) -> BoxTrainTransform:
        return BoxTrainTransform(size, Augment(**no_augment | changes), MEAN, seed)

    return transform


TWO = ((30, 20, 80, 60), (110, 70, 150, 130))


def test_a_quiet_window_of_the_images_size_is_the_image(build: Any) -> None:
    seen = marked(140, 180, *TWO)
    for transform in (build((140, 180)), build(None), BoxEvalTransform(None, MEAN)):
        image, boxes, frame = transform(seen, [], 0, 0)
        assert np.array_equal(image.permute(1, 2, 0), seen.pixels)
        assert all(torch.equal(a, b) for a, b in zip(boxes, seen.boxes, strict=True))
        assert frame.tolist() == [140, 180, 1, 1]


@pytest.mark.parametrize("mosaic", [0.0, 1.0])
@pytest.mark.parametrize("size", [(128, 160), (200, 120), None])
def test_boxes_stay_around_what_is_marked(
    build: Any, size: tuple[int, int] | None, mosaic: float
) -> None:
    """In every window, whatever is done; a kept box is as wide as what can be seen."""
    seen = marked(140, 180, *TWO)
    loud = build(size, scale_jitter=(0.5, 4.0), flip=True, vertical_flip=True, mosaic=mosaic)
    kept = lost = mirrored = upside_down = 0
    for epoch in range(60):
        # Partners that show nothing in the channels of the two.
        others = [marked(150, 90)] * len(loud.partners(epoch, 3, 100))
        image, boxes, frame = loud(seen, others, epoch, 3)
        height, width = size or (140, 180)
        assert image.shape == (3, height, width)
        assert bool(others) == bool(mosaic)
        for k in (0, 1):
            where = extent(image, k)
            of_k = boxes.xyxy[boxes.label == k]
            if not len(of_k):
                lost += 1
                continue
            kept += 1
            assert len(of_k) == 1
            assert where is not None
            torch.testing.assert_close(of_k[0], where, atol=1.01, rtol=0)
        assert (boxes.xyxy >= 0).all()
        assert (boxes.xyxy <= torch.tensor([width, height] * 2)).all()
        assert ((boxes.xyxy[:, 2:] - boxes.xyxy[:, :2]) >= LEAST_SIDE).all()
        if len(boxes.label) == 2:
            mirrored += bool(boxes.xyxy[0, 0] > boxes.xyxy[1, 0])
            upside_down += bool(boxes.xyxy[0, 1] > boxes.xyxy[1, 1])
        assert boxes.area.tolist() == seen.boxes.area[boxes.label].tolist()
        assert boxes.crowd.tolist() == seen.boxes.crowd[boxes.label].tolist()
        if not mosaic:
            valid_h, valid_w = frame[:2].int().tolist()
            assert (image[:, valid_h:] == FILL[:, None, None]).all()
            assert (image[:, :, valid_w:] == FILL[:, None, None]).all()
            assert (image[2, :valid_h, :valid_w] == 100).all()
    assert kept > 50
    assert lost > 0
    assert mirrored > 3
    assert upside_down > 3


def test_a_factor_of_1_is_evaluation(build: Any) -> None:
    seen = marked(140, 180, *TWO)
    for size in ((128, 160), (64, 300), (300, 64), (420, 540)):
        ours = build(size)(seen, [], 0, 0)
        theirs = BoxEvalTransform(size, MEAN)(seen, [], 0, 0)
        assert torch.equal(ours[0], theirs[0])
        torch.testing.assert_close(ours[1].xyxy, theirs[1].xyxy)
        assert torch.equal(ours[2], theirs[2])


@pytest.mark.parametrize(
    ("size", "valid"),
    [((128, 160), (124, 160)), ((70, 300), (70, 90)), ((280, 400), (280, 360))],
)
def test_evaluation_fits_and_leads_back(size: tuple[int, int], valid: tuple[int, int]) -> None:
    seen = marked(140, 180, *TWO, (0, 0, 1, 1))
    image, boxes, frame = BoxEvalTransform(size, MEAN)(seen, [], 0, 0)
    assert image.shape[1:] == size
    assert frame[:2].tolist() == list(valid)
    for k in (0, 1):
        torch.testing.assert_close(boxes.xyxy[k], extent(image, k), atol=1.01, rtol=0)
    # None is lost, however small, and the frame leads back to the original.
    back = boxes._replace(image=torch.zeros(3, dtype=torch.int64)).scaled(frame[None, 2:])
    torch.testing.assert_close(back.xyxy, seen.boxes.xyxy)
    height, width = valid
    assert (image[:, height:] == FILL[:, None, None]).all()
    assert (image[:, :, width:] == FILL[:, None, None]).all()


def test_in_training_the_frame_leads_back(build: Any) -> None:
    """Lengths, of a box that lies whole in the window."""
    seen = marked(140, 180, (80, 60, 100, 85))
    transform = build((140, 180), scale_jitter=(0.5, 2.0))
    checked = 0
    for epoch in range(30):
        _, boxes, frame = transform(seen, [], epoch, 0)
        if not len(boxes.label):
            continue
        sides = (boxes.xyxy[0, 2:] - boxes.xyxy[0, :2]).flip(0) * frame[2:]
        checked += bool(torch.allclose(sides, torch.tensor([25.0, 20.0]), rtol=0.02))
    assert checked > 15


@pytest.mark.parametrize(
    ("box", "left"),
    [
        ((10, 10, 30, 30), (0, 0, 10, 10)),  # a quarter of it
        ((20, 20, 120, 40), (0, 0, 80, 20)),
        ((0, 0, 24, 24), None),  # 16 of 576
        ((0, 30, 21.9, 50), None),  # 1.9 of 21.9: less than a tenth
        ((0, 30, 22.3, 50), (0, 10, 2.3, 30)),
        ((0, 0, 10, 10), None),
        ((40, 40, 40.9, 60), None),  # narrower than a pixel
        ((40, 40, 41.1, 60), (20, 20, 21.1, 40)),
    ],
)
def test_what_a_window_shows(box: tuple[float, ...], left: tuple[float, ...] | None) -> None:
    """Of 80 x 90 pixels from (20, 20) on."""
    found = windowed(boxes_of(box), (200, 200), (20, 20, 90, 80), (90, 80))
    assert len(found.label) == (left is not None)
    if left is not None:
        torch.testing.assert_close(found.xyxy, torch.tensor([left]).float(), atol=1e-4, rtol=0)


def test_windows_as_torchvision_cuts_them() -> None:
    draw = torch.Generator().manual_seed(0)
    corner = torch.rand(200, 2, generator=draw) * 150
    xyxy = torch.cat((corner, corner + torch.rand(200, 2, generator=draw) * 80), 1).clamp(max=200)
    number = torch.arange(200)
    boxes = Boxes(xyxy, number, number * 0, number < 0, number.float())
    found = windowed(boxes, (200, 200), (30, 40, 100, 120), (50, 240))
    theirs = tv_tensors.BoundingBoxes(xyxy, format="XYXY", canvas_size=(200, 200))
    both = v2.functional.resized_crop(theirs, 30, 40, 100, 120, [50, 240])
    full = (xyxy[:, 2:] - xyxy[:, :2]).prod(1) * (50 / 100) * (240 / 120)
    clean = v2.functional.clamp_bounding_boxes(both)
    sides = clean[:, 2:] - clean[:, :2]
    keep = (sides.prod(1) >= VISIBLE * full) & (sides >= LEAST_SIDE).all(1)
    assert 20 < int(keep.sum()) < 180
    assert found.label.tolist() == number[keep].tolist()
    torch.testing.assert_close(found.xyxy, clean[keep].as_subclass(Tensor))


@pytest.mark.parametrize("k", [0, 1])
def test_a_sliver_of_a_crowd_stays(k: int) -> None:
    """Of a box (0) and a crowd (1): what is shown of a crowd must not be trained as background."""
    outside = (150, 150, 160, 160)
    corners = [outside, outside]
    corners[k] = (0, 30, 21.9, 50)  # 1.9 of 21.9 pixels lie in the window: less than a tenth
    window = (20, 20, 90, 80)
    found = windowed(boxes_of(*corners), (200, 200), window, (90, 80))
    assert found.label.tolist() == [1] * k
    assert found.crowd.all()
    # Half as large: 0.95 pixels of it.
    assert not len(windowed(boxes_of(*corners), (200, 200), window, (45, 40)).label)


def test_a_window_shows_a_box_wherever_it_lies(build: Any) -> None:
    """One box of 20 x 20 in 400 x 400: a window of 100 x 100 by chance shows it rarely."""
    seen = marked(400, 400, (300, 200, 320, 220))
    transform = build((100, 100), scale_jitter=(4.0, 4.0))
    places = []
    for epoch in range(100):
        image, boxes, _ = transform(seen, [], epoch, 0)
        assert boxes.label.tolist() == [0]
        torch.testing.assert_close(boxes.xyxy[0], extent(image, 0), atol=1.01, rtol=0)
        places.append(boxes.xyxy[0, :2].tolist())
    assert np.ptp(np.array(places), axis=0).min() > 70  # and anywhere in the window


@pytest.mark.parametrize(
    ("corners", "kept"),
    [
        (((300, 0, 301, 1), (0, 0, 400, 400)), True),  # a crowd is all over the place
        (((0, 0, 400, 400),), False),  # a window shows a sixteenth of it, less than a tenth
        (((10, 10, 390, 90),), True),  # wider than any window, but a quarter can be seen
        (((399, 399, 400, 400),), True),  # in the corner
    ],
)
def test_windows_around_what_can_be_shown(
    build: Any, corners: tuple[tuple[int, int, int, int], ...], kept: bool
) -> None:
    """Windows of 100 x 100 of 400 x 400; object 0 is a box, object 1 a crowd."""
    transform = build((100, 100), scale_jitter=(4.0, 4.0))
    for epoch in range(20):
        _, boxes, _ = transform(marked(400, 400, *corners), [], epoch, 0)
        assert (0 in boxes.label.tolist()) == kept


def test_no_window_is_made_around_a_box_that_scaling_takes_away(build: Any) -> None:
    """Of half a pixel; the other, of 10, is shown always."""
    seen = marked(800, 800, (10, 10, 11, 11), (0, 0, 1, 1), (700, 700, 720, 720))
    transform = build((100, 100), scale_jitter=(4.0, 4.0))
    assert all(2 in transform(seen, [], epoch, 0)[1].label.tolist() for epoch in range(20))


def test_mosaic_shows_four(build: Any) -> None:
    transform = build((96, 120), mosaic=1.0)
    sources = [
        Seen(np.full((90, 120, 3), 60 * k, np.uint8), boxes_of((0, 0, 120, 90))) for k in range(4)
    ]
    centres = []
    for epoch in range(30):
        image, boxes, frame = transform(sources[0], sources[1:], epoch, 5)
        assert frame[:2].tolist() == [96, 120]
        assert boxes.image.tolist() == [0] * len(boxes.label)
        corners = [int(image[0, y, x]) for y in (0, 95) for x in (0, 119)]
        assert corners == [0, 60, 120, 180]
        x = int((image[0, 0] == 0).sum())
        y = int((image[0, :, 0] == 0).sum())
        # Parts of larger images: each box fills its part, or is gone where that is too small.
        parts = [(0, 0, x, y), (x, 0, 120, y), (0, y, x, 96), (x, y, 120, 96)]
        whole = 96 * 120 * (90 / 96) * VISIBLE  # images are scaled to 90 x 120
        large = [list(p) for p in parts if (p[2] - p[0]) * (p[3] - p[1]) >= whole]
        assert boxes.xyxy.tolist() == large
        centres.append((y / 96, x / 120))
    assert 0.24 < np.min(centres) < 0.35
    assert 0.65 < np.max(centres) < 0.76


def test_partners_that_are_skipped_leave_their_parts_empty(build: Any) -> None:
    """The image itself has the first corner; its box stays in it, or is gone."""
    seen = marked(96, 120, (20, 20, 90, 80))
    transform, kept = build((96, 120), mosaic=1.0), 0
    for epoch in range(30):
        image, boxes, _ = transform(seen, [None, None, None], epoch, 0)
        filled = (image == FILL[:, None, None]).all(0)
        x, y = int((~filled[0]).sum()), int((~filled[:, 0]).sum())
        assert 0 < x < 120
        assert 0 < y < 96
        assert not filled[:y, :x].any()
        assert filled[y:].all()
        assert filled[:, x:].all()
        assert (boxes.xyxy[:, 2:] <= torch.tensor([x, y])).all()
        shown = extent(image, 0)
        for box in boxes.xyxy:
            torch.testing.assert_close(box, shown, atol=1.01, rtol=0)
        kept += len(boxes.label)
    assert kept > 10


def test_partners_are_as_often_as_asked_and_from_all(build: Any) -> None:
    transform = build((10, 10), mosaic=0.3)
    drawn = [transform.partners(epoch, 4, 50) for epoch in range(1000)]
    assert 240 < sum(map(bool, drawn)) < 360
    assert {len(ids) for ids in drawn} == {0, 3}
    assert {id for ids in drawn for id in ids} == set(range(50))
    assert drawn[:9] == [build((10, 10), mosaic=0.3).partners(epoch, 4, 50) for epoch in range(9)]
    assert build((10, 10)).partners(0, 0, 5) == []


def test_randomness_is_of_seed_epoch_and_id(build: Any) -> None:
    seen = marked(140, 180, *TWO)
    keys = {"scale_jitter": (0.5, 2.0), "flip": True, "color_jitter": 0.4}

    def made(seed: int, epoch: int, id: int) -> list[Tensor]:
        torch.manual_seed(id * 7 + epoch)  # what the process drew before is no matter
        image, boxes, frame = build((96, 96), seed, **keys)(seen, [], epoch, id)
        return [image, boxes.xyxy, frame]

    first = made(1, 2, 3)
    assert all(torch.equal(a, b) for a, b in zip(first, made(1, 2, 3), strict=True))
    for other in ((2, 2, 3), (1, 3, 3), (1, 2, 4)):
        assert not torch.equal(first[0], made(*other)[0])


def test_images_without_boxes(build: Any) -> None:
    seen = marked(60, 80)
    for transform in (
        build((40, 40), scale_jitter=(0.5, 2.0), flip=True),
        BoxEvalTransform((40, 40), MEAN),
    ):
        image, boxes, _ = transform(seen, [], 0, 0)
        assert image.shape == (3, 40, 40)
        assert boxes.xyxy.shape == (0, 4)

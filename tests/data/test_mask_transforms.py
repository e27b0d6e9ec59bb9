from typing import Any

import numpy as np
import pytest
import torch

from cnnlab.data.augment import Augment
from cnnlab.data.mask_transforms import MaskEvalTransform, MaskTrainTransform
from cnnlab.pixels import IGNORE

MEAN = [0.2, 0.3, 0.4]
FILL = [51, 76, 102]  # 255 times that; round(76.5) is 76


def board(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """An uneven chess board: red is 255 times the class, green is 200, which no filling is."""
    draw = np.random.default_rng(0)
    rows = np.repeat(np.arange(height) % 2, draw.integers(9, 15, height))[:height]
    columns = np.repeat(np.arange(width) % 2, draw.integers(9, 15, width))[:width]
    mask = (rows[:, None] ^ columns).astype(np.uint8)
    pixels = np.stack([255 * mask, np.full_like(mask, 200), np.zeros_like(mask)], 2)
    return pixels, mask


def places(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Red is the row, green the column; the mask their sum, below 255."""
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    return np.stack([rows, columns, 0 * rows], 2), rows + columns


@pytest.fixture
def build(no_augment: dict[str, Any]) -> Any:
    def transform(size: tuple[int, int], seed: int = 0, **changes: Any) -> MaskTrainTransform:
        return MaskTrainTransform(size, Augment(**no_augment | changes), MEAN, seed)

    return transform


def test_a_quiet_window_of_the_images_size_is_the_image(build: Any) -> None:
    pixels, mask = places(20, 30)
    image, target, frame = build((20, 30))(pixels, mask, 0, 0)
    assert np.array_equal(image.permute(1, 2, 0), pixels)
    assert np.array_equal(target, mask)
    assert (image.dtype, target.dtype) == (torch.uint8, torch.uint8)
    assert frame.tolist() == [20, 30, 1, 1]


def test_image_and_mask_stay_together(build: Any) -> None:
    pixels, mask = board(70, 90)
    loud = build((64, 80), scale_jitter=(0.5, 2.0), flip=True, class_crops=0.5)
    padded = 0
    for epoch in range(60):
        image, target, frame = loud(pixels, mask, epoch, 7)
        assert image.shape == (3, 64, 80)
        assert target.shape == (64, 80)
        inside = image[1] == 200
        assert torch.equal(target == IGNORE, ~inside)
        assert (image[:, ~inside] == torch.tensor(FILL, dtype=torch.uint8)[:, None]).all()
        height, width = frame[:2].int().tolist()
        assert inside[:height, :width].all()
        assert int(inside.sum()) == height * width
        padded += height < 64 or width < 80
        # Both filters are symmetric, so the majority of a pixel is the class at its centre.
        red = image[0].float() - 127.5
        clear = inside & (red.abs() > 20)
        assert torch.equal(target[clear] == 1, red[clear] > 0)
        assert clear.sum() > 0.6 * inside.sum()
    assert 10 < padded < 50


def test_factors_are_log_uniform_in_their_range_and_in_the_frame(build: Any) -> None:
    pixels, mask = board(200, 220)
    transform = build((100, 120), scale_jitter=(0.5, 2.0))
    frames = torch.stack([transform(pixels, mask, epoch, 0)[2] for epoch in range(400)])
    logs = -frames[:, 2].log()  # a length here times that is one in the original
    assert logs.min() > np.log(0.49)
    assert logs.max() < np.log(2.03)
    quarters = logs.quantile(torch.tensor([0.25, 0.5, 0.75]))
    expected = np.log(4) * torch.tensor([-0.25, 0.0, 0.25])
    torch.testing.assert_close(quarters, expected.float(), atol=0.14, rtol=0)
    torch.testing.assert_close(frames[:, 2], frames[:, 3], atol=0.02, rtol=0)


def test_only_what_is_too_small_is_padded(build: Any) -> None:
    pixels, mask = board(160, 200)
    transform = build((64, 80), scale_jitter=(0.5, 2.0))  # 160 * 0.5 is more than 64
    for epoch in range(100):
        _, target, frame = transform(pixels, mask, epoch, 0)
        assert (target != IGNORE).all()
        assert frame[:2].tolist() == [64, 80]


def test_an_image_smaller_than_the_window_lies_at_its_top_left(build: Any) -> None:
    pixels, mask = places(10, 40)
    image, target, frame = build((16, 24))(pixels, mask, 3, 0)
    left = int(image[1, 0, 0])
    assert np.array_equal(image[:, :10].permute(1, 2, 0), pixels[:, left : left + 24])
    assert np.array_equal(target[:10], mask[:, left : left + 24])
    assert (target[10:] == IGNORE).all()
    assert (image[:, 10:] == torch.tensor(FILL, dtype=torch.uint8).view(3, 1, 1)).all()
    assert frame.tolist() == [10, 24, 1, 1]


def test_every_window_is_equally_likely(build: Any) -> None:
    pixels, mask = places(18, 22)
    transform = build((16, 20))
    counts = np.zeros((3, 3), int)
    for epoch in range(900):
        image, target, _ = transform(pixels, mask, epoch, 0)
        top, left = int(image[0, 0, 0]), int(image[1, 0, 0])
        assert np.array_equal(target, mask[top : top + 16, left : left + 20])
        counts[top, left] += 1
    assert counts.min() > 52  # 100 expected, 5 sigma = 48


@pytest.mark.parametrize(("key", "channel", "axis"), [("flip", 1, 1), ("vertical_flip", 0, 0)])
def test_flips_mirror_half_of_the_pairs(build: Any, key: str, channel: int, axis: int) -> None:
    pixels, mask = places(16, 20)
    transform = build((16, 20), **{key: True})
    mirrored = 0
    for epoch in range(200):
        image, target, _ = transform(pixels, mask, epoch, 0)
        flipped = int(image[channel, 0, 0]) != 0
        expected = np.flip(mask, axis) if flipped else mask
        assert np.array_equal(target, expected)
        mirrored += flipped
    assert 64 < mirrored < 136  # 5 sigma = 36


@pytest.mark.parametrize("place", [(0, 0), (0, 49), (39, 0), (39, 49), (20, 13)])
def test_class_crops_show_what_is_rare(build: Any, place: tuple[int, int]) -> None:
    pixels = np.zeros((40, 50, 3), np.uint8)
    alone = np.full((40, 50), IGNORE, np.uint8)
    alone[place] = 3
    common = np.zeros((40, 50), np.uint8)
    common[place] = 3
    always, never = build((8, 8), class_crops=1.0), build((8, 8), class_crops=0.0)

    def shown(transform: MaskTrainTransform, mask: np.ndarray) -> int:
        return sum(int((transform(pixels, mask, epoch, 0)[1] == 3).sum()) for epoch in range(200))

    assert shown(always, alone) == 200
    assert 64 < shown(always, common) < 150  # one of two classes: half, and a few by chance
    assert shown(never, common) < 40  # at most 64 of the 33 * 43 windows


def test_class_crops_put_the_pixel_anywhere_in_the_window(build: Any) -> None:
    mask = np.full((40, 50), IGNORE, np.uint8)
    mask[20, 25] = 0
    transform = build((4, 4), class_crops=1.0)
    windows = [transform(np.zeros((40, 50, 3), np.uint8), mask, e, 0)[1] for e in range(400)]
    counts = sum((window == 0).int() for window in windows)
    assert int(counts.min()) > 3  # 25 expected


def test_a_mask_without_a_class_is_cropped_all_the_same(build: Any) -> None:
    pixels, _ = places(18, 22)
    empty = np.full((18, 22), IGNORE, np.uint8)
    target = build((16, 20), class_crops=1.0)(pixels, empty, 0, 0)[1]
    assert (target == IGNORE).all()


def test_a_window_is_a_function_of_seed_epoch_and_id(build: Any) -> None:
    pixels, mask = board(70, 90)
    pixels = pixels // 2 + 40  # so that colour jitter has room
    keys = {"scale_jitter": (0.5, 2.0), "flip": True, "color_jitter": 0.4, "class_crops": 0.5}
    one = build((32, 40), seed=1, **keys)(pixels, mask, 2, 3)
    torch.rand(5)  # the global generator has nothing to do with it
    again = build((32, 40), seed=1, **keys)
    again(pixels, mask, 0, 0)
    same = again(pixels, mask, 2, 3)
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    for seed, epoch, id in ((0, 2, 3), (1, 1, 3), (1, 2, 4)):
        other = build((32, 40), seed=seed, **keys)(pixels, mask, epoch, id)
        assert not torch.equal(one[0], other[0])
        assert not torch.equal(one[1], other[1])


def test_colours_change_and_masks_and_padding_do_not(build: Any) -> None:
    pixels, mask = places(16, 20)
    image, target, _ = build((18, 20), color_jitter=0.5)(pixels + 60, mask, 0, 0)
    assert np.array_equal(target[:16], mask)
    assert not np.array_equal(image[:, :16].permute(1, 2, 0), pixels + 60)
    assert (image[:, 16:] == torch.tensor(FILL, dtype=torch.uint8).view(3, 1, 1)).all()


@pytest.mark.parametrize(
    ("side", "size"), [(None, (20, 31)), (20, (20, 31)), (10, (10, 16)), (40, (40, 62))]
)
def test_evaluation_resizes_the_image_alone(side: int | None, size: tuple[int, int]) -> None:
    pixels, mask = places(20, 31)
    image, target, frame = MaskEvalTransform(side)(pixels, mask, 0, 0)
    assert image.shape == (3, *size)
    assert np.array_equal(target, mask)
    assert frame.tolist() == pytest.approx([*size, 20 / size[0], 31 / size[1]])
    if size == (20, 31):
        assert np.array_equal(image.permute(1, 2, 0), pixels)
    else:
        # Red is the row of the original: linear, up to the rim.
        rows = (torch.arange(size[0]) + 0.5) * frame[2] - 0.5
        inner = slice(3, -3)
        assert (image[0].float().mean(1) - rows)[inner].abs().max() < 0.6

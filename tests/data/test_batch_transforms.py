from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from cnnlab.data.augment import Augment
from cnnlab.data.batch import Batch, whole_frame
from cnnlab.data.batch_transforms import (
    BatchTransforms,
    crop,
    cutmix,
    mixup,
    random_crop,
    random_erasing,
    random_flip,
    shares,
)

MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.3, 0.25]
Build = Callable[..., BatchTransforms]


def pictures(batch: int = 16, channels: int = 3, height: int = 8, width: int = 10) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    size = (batch, channels, height, width)
    return torch.randint(1, 256, size, dtype=torch.uint8, generator=generator)


def batch_of(images: Tensor) -> Batch:
    n = len(images)
    return Batch(images, torch.arange(n) % 5, torch.arange(n), whole_frame(8, 10).expand(n, 4))


@pytest.fixture
def build(no_augment: dict[str, Any]) -> Build:
    def transforms(padding: int = 0, seed: int = 0, **changes: Any) -> BatchTransforms:
        return BatchTransforms(Augment(**no_augment | changes), padding, 5, MEAN, STD, seed)

    return transforms


def naive_normalise(images: Tensor) -> Tensor:
    return (images.float() / 255 - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(
        3, 1, 1
    )


def test_evaluation_only_normalises(build: Build) -> None:
    batch = batch_of(pictures())
    loud = build(padding=2, flip=True, mixup=1.0, cutmix=1.0, erasing=1.0)
    prepared = loud(batch, training=False, step=0)
    torch.testing.assert_close(prepared.images, naive_normalise(batch.images))
    assert prepared.images.dtype == torch.float32
    assert all(a is b for a, b in zip(prepared[1:], batch[1:], strict=True))


@pytest.mark.parametrize("channels", [1, 3])
def test_crop_takes_the_windows_asked_for(channels: int) -> None:
    images = pictures(6, channels, 9, 11)
    top, left = torch.tensor([0, 1, 2, 4, 0, 4]), torch.tensor([0, 5, 3, 0, 5, 5])
    windows = crop(images, top, left, (5, 6))
    for i, (y, x) in enumerate(zip(top.tolist(), left.tolist(), strict=True)):
        assert torch.equal(windows[i], images[i, :, y : y + 5, x : x + 6])


def test_random_crop_is_a_shift_of_the_padded_image_each_equally_likely() -> None:
    image = pictures(1)
    batch = batch_of(image.expand(2000, -1, -1, -1))
    padded = torch.nn.functional.pad(image[0], (1,) * 4)
    shifts = [padded[:, y : y + 8, x : x + 10] for y in range(3) for x in range(3)]
    cropped = random_crop(batch, 1, torch.Generator().manual_seed(0))
    assert cropped.targets is batch.targets
    crops = cropped.images
    counts = [int((crops == shift).flatten(1).all(1).sum()) for shift in shifts]
    assert sum(counts) == 2000
    assert min(counts) > 150  # 222 expected, 5 sigma = 70


@pytest.mark.parametrize("axis", [0, 1])
def test_random_flip_mirrors_half_of_the_images(axis: int) -> None:
    images = pictures(400)
    flipped = random_flip(batch_of(images), torch.Generator().manual_seed(0), axis).images
    same = (flipped == images).flatten(1).all(1)
    mirrored = (flipped == images.flip(-1 - axis)).flatten(1).all(1)
    assert torch.equal(same, ~mirrored)
    assert 150 < int(mirrored.sum()) < 250  # 5 sigma = 50


def test_shares_are_one_hot_and_leave_several_labels_alone() -> None:
    assert shares(torch.tensor([2, 0]), 3).tolist() == [[0, 0, 1], [1, 0, 0]]
    several = torch.tensor([[1.0, 1.0, 0.0]])
    assert shares(several, 3) is several


def test_mixup_mixes_image_and_target_with_the_neighbour() -> None:
    images, targets = pictures(4).float(), torch.eye(4)
    mixed, mixed_targets = mixup(images, targets, 0.3)
    for i in range(4):
        torch.testing.assert_close(mixed[i], 0.3 * images[i] + 0.7 * images[i - 1])
        torch.testing.assert_close(mixed_targets[i], 0.3 * targets[i] + 0.7 * targets[i - 1])


@pytest.mark.parametrize("share", [0.0, 0.2, 0.64, 1.0])
@pytest.mark.parametrize("centre", [(0.5, 0.5), (0.0, 0.99), (0.3, 0.1)])
def test_cutmix_counts_the_pixels_it_takes(share: float, centre: tuple[float, float]) -> None:
    own, other = torch.zeros(1, 1, 20, 30), torch.ones(1, 1, 20, 30)
    mixed, targets = cutmix(torch.cat([own, other]), torch.eye(2), share, centre)
    taken = mixed[0].mean()
    torch.testing.assert_close(targets[0], torch.stack([1 - taken, taken]))
    torch.testing.assert_close(mixed[1], 1 - mixed[0])
    if centre == (0.5, 0.5):
        assert float(taken) == pytest.approx(1 - share, abs=0.06)  # rounding to pixels
    inside = mixed[0, 0].nonzero()
    if len(inside):
        (top, left), (bottom, right) = inside.min(0).values, inside.max(0).values
        assert len(inside) == (bottom - top + 1) * (right - left + 1)  # one rectangle


def test_erasing_fills_one_rectangle_of_the_published_size() -> None:
    images = torch.full((500, 3, 40, 40), 9.0)
    erased = random_erasing(images, 0.5, torch.Generator().manual_seed(0)) != 9.0
    hit = erased.flatten(1).any(1)
    assert 190 < int(hit.sum()) < 310  # 5 sigma = 56
    for mask in erased[hit]:
        assert torch.equal(mask[0], mask[1])
        inside = mask[0].nonzero()
        (top, left), (bottom, right) = inside.min(0).values, inside.max(0).values
        height, width = bottom - top + 1, right - left + 1
        assert len(inside) == height * width
        assert 0.01 < float(height * width) / 1600 < 0.36
        assert 0.25 < float(height / width) < 4.0
    reached = erased.any(0)[0]
    assert all(border.any() for border in (reached[0], reached[-1], reached[:, 0], reached[:, -1]))


def test_training_is_a_function_of_seed_and_step(build: Build) -> None:
    batch = batch_of(pictures())
    loud = {"padding": 2, "flip": True, "mixup": 0.5, "cutmix": 0.5, "erasing": 0.5}
    one = build(**loud)(batch, training=True, step=7)
    again = build(**loud)
    again(batch, training=True, step=3)  # what came before does not matter
    other = again(batch, training=True, step=7)
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert not torch.equal(one.images, build(**loud)(batch, training=True, step=8).images)
    assert not torch.equal(one.images, build(seed=1, **loud)(batch, training=True, step=7).images)


def test_ranks_draw_differently(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = batch_of(pictures())
    one = build(padding=2)(batch, training=True, step=0)
    monkeypatch.setattr("cnnlab.data.batch_transforms.rank_and_world", lambda: (1, 2))
    assert not torch.equal(one.images, build(padding=2)(batch, training=True, step=0).images)


def test_quiet_training_is_evaluation(build: Build) -> None:
    batch = batch_of(pictures())
    prepared = build()(batch, training=True, step=0)
    torch.testing.assert_close(prepared.images, naive_normalise(batch.images))
    assert prepared.targets is batch.targets


def test_mixup_and_cutmix_take_turns(build: Build) -> None:
    # Images of one value each: mixup leaves every image of one value, cutmix does not.
    images = (torch.arange(1, 9, dtype=torch.uint8) * 20).view(8, 1, 1, 1).expand(8, 3, 8, 10)
    transforms = build(mixup=1.0, cutmix=1.0)
    flat = 0
    for step in range(200):
        prepared = transforms(batch_of(images), training=True, step=step)
        assert prepared.targets.shape == (8, 5)
        torch.testing.assert_close(prepared.targets.sum(1), torch.ones(8))
        flat += int(prepared.images[:, 0].flatten(1).std(1).max() < 1e-4)
    assert 65 < flat < 145  # half, 5 sigma = 35; cutmix with an empty patch is flat too


@pytest.mark.parametrize("key", ["mixup", "cutmix"])
def test_targets_follow_what_is_in_the_image(build: Build, key: str) -> None:
    # Class k's image holds the value 50 * k + 5, so its mean tells the shares.
    images = (torch.arange(5, dtype=torch.uint8) * 50 + 5).view(5, 1, 1, 1).expand(5, 3, 8, 10)
    prepared = build(**{key: 1.0})(batch_of(images), training=True, step=1)
    values = prepared.images[:, 0].mean((1, 2)) * STD[0] * 255 + MEAN[0] * 255
    torch.testing.assert_close(prepared.targets @ (torch.arange(5.0) * 50 + 5), values)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_nothing_waits_for_the_device(build: Build) -> None:
    transforms = build(padding=2, flip=True, mixup=0.5, cutmix=0.5, erasing=0.5)
    batch = Batch(*(tensor.cuda() for tensor in batch_of(pictures())))
    transforms(batch, training=True, step=0)  # constants are copied once
    torch.cuda.set_sync_debug_mode("error")
    try:
        for step in range(20):
            transforms(batch, training=True, step=step)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("training", [False, True])
def test_images_of_another_size_are_resized_and_frames_follow(
    build: Build, no_augment: dict[str, Any], training: bool
) -> None:
    batch = batch_of(pictures(height=8, width=10))
    sized = BatchTransforms(Augment(**no_augment), 0, 5, MEAN, STD, 0, size=(16, 16))
    prepared = sized(batch, training, step=0)
    expected = torch.nn.functional.interpolate(batch.images.float(), (16, 16), mode="bilinear")
    torch.testing.assert_close(prepared.images, naive_normalise(expected))
    # 8 x 10 valid pixels became 16 x 16; a length there times the factor is one in the original.
    assert prepared.frames[0].tolist() == pytest.approx([16.0, 16.0, 0.5, 0.625])


def test_images_of_the_size_asked_for_are_left_alone(no_augment: dict[str, Any]) -> None:
    batch = batch_of(pictures(height=8, width=8))
    plain = BatchTransforms(Augment(**no_augment), 0, 5, MEAN, STD, 0)
    sized = BatchTransforms(Augment(**no_augment), 0, 5, MEAN, STD, 0, size=(8, 8))
    expected = plain(batch, training=False, step=0)
    assert torch.equal(sized(batch, training=False, step=0).images, expected.images)
    shrunk = BatchTransforms(Augment(**no_augment), 0, 5, MEAN, STD, 0, size=(4, 4))
    # Antialiased: the mean of a large enough region is kept, not sampled from a quarter of it.
    ours = shrunk(batch, training=False, step=0).images
    assert (ours - expected.images.unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5))).abs().mean() < 0.3


def with_masks(height: int = 8, width: int = 10) -> Batch:
    """Masks that are the images' red channel, in 0..4."""
    images = pictures(64, height=height, width=width) % 5
    batch = batch_of(images)
    return batch._replace(targets=images[:, 0].clone())


def test_masks_are_flipped_with_their_images() -> None:
    batch = with_masks()
    flipped = random_flip(batch, torch.Generator().manual_seed(0))
    assert torch.equal(flipped.targets, flipped.images[:, 0])
    same = (flipped.targets == batch.targets).flatten(1).all(1)
    assert 15 < int(same.sum()) < 49


def test_masks_are_cropped_with_their_images_and_ignored_outside() -> None:
    batch = with_masks()
    batch = batch._replace(images=batch.images + 1)  # so that 0 is what was padded
    cropped = random_crop(batch, 3, torch.Generator().manual_seed(0))
    outside = cropped.images[:, 0] == 0
    assert 0.1 < outside.float().mean() < 0.6
    assert torch.equal(cropped.targets == 255, outside)
    assert torch.equal(cropped.targets[~outside] + 1, cropped.images[:, 0][~outside])


def test_training_resizes_masks_without_new_values(no_augment: dict[str, Any]) -> None:
    batch = with_masks()
    batch = batch._replace(targets=batch.targets.where(batch.targets < 3, 255))
    sized = BatchTransforms(Augment(**no_augment), 0, 5, MEAN, STD, 0, size=(16, 30))
    masks = sized(batch, training=True, step=0).targets
    assert (masks.dtype, masks.shape[1:]) == (torch.int64, (16, 30))
    # Twice and three times as large: each pixel becomes a block.
    blocks = batch.targets.long().repeat_interleave(2, 1).repeat_interleave(3, 2)
    assert torch.equal(masks, blocks)


def test_masks_keep_their_size_in_evaluation(no_augment: dict[str, Any]) -> None:
    batch = with_masks()
    sized = BatchTransforms(Augment(**no_augment), 0, 5, MEAN, STD, 0, size=(16, 30))
    prepared = sized(batch, training=False, step=0)
    assert prepared.images.shape[-2:] == (16, 30)
    assert prepared.targets.dtype == torch.int64
    assert torch.equal(prepared.targets, batch.targets.long())

import io
import math
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import timm.data
import torch
from PIL import Image
from torchvision.transforms import v2

from cnnlab.data.augment import Augment
from cnnlab.data.decode import Picture
from cnnlab.data.sample_transforms import EvalTransform, TrainTransform, random_box

HALF = [0.5, 0.5, 0.5]


def png(image: Image.Image) -> Picture:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return Picture(stream.getvalue())


def noise(height: int, width: int) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


def train(
    no_augment: dict[str, Any], size: int = 16, seed: int = 0, **other: Any
) -> TrainTransform:
    return TrainTransform(size, "bilinear", Augment(**no_augment | other), seed)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("size", "crop_pct"), [(224, 0.875), (160, 0.95), (288, 1.0)])
def test_evaluation_is_timms_to_the_pixel(
    real_data: Callable[[str], Path], interpolation: str, size: int, crop_pct: float
) -> None:
    ours = EvalTransform(size, crop_pct, interpolation, "center", HALF)
    timms = timm.data.create_transform(
        size,
        interpolation=interpolation,
        crop_pct=crop_pct,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
    )
    files = sorted(real_data("imagenet_samples").glob("val/*/*.JPEG"))[::6]
    files += sorted(real_data("imagenette224").glob("val/*/*"))[::100]
    for file in files:
        image, _ = ours(Picture(file.read_bytes()), 0, 0)
        assert image.dtype == torch.uint8
        expected = timms(Image.open(file).convert("RGB"))
        torch.testing.assert_close(image / 255, expected, rtol=0, atol=0)


@pytest.mark.parametrize("mode", ["squash", "border"])
def test_other_crop_modes_are_timms(mode: str) -> None:
    image = noise(60, 90)
    expected = timm.data.create_transform(
        32, crop_pct=0.9, crop_mode=mode, mean=tuple(HALF), use_prefetcher=True
    )(image)
    ours, _ = EvalTransform(32, 0.9, "bilinear", mode, HALF)(png(image), 0, 0)
    assert torch.equal(ours, expected)


@pytest.mark.parametrize(
    ("mode", "frame"),
    [
        ("center", [32, 32, 1.5, 1.5]),  # 60 -> 40
        ("squash", [32, 32, 1.5, 2.25]),  # 60 -> 40, 90 -> 40
        ("border", [32, 32, 2.25, 2.25]),  # 90 -> 40
    ],
)
def test_frame_leads_from_the_evaluated_image_to_the_original(
    mode: str, frame: list[float]
) -> None:
    assert (
        EvalTransform(32, 0.8, "bilinear", mode, HALF)(png(noise(60, 90)), 0, 0)[1].tolist()
        == frame
    )


def test_training_resizes_a_crop_of_the_picture(no_augment: dict[str, Any]) -> None:
    """The whole picture as the crop: then it is torchvision's antialiased resize of it."""
    image = noise(40, 60)
    whole = train(no_augment, scale=[1.0, 1.0], ratio=[1.5, 1.5])
    ours, frame = whole(png(image), 0, 0)
    expected = v2.functional.resize(v2.functional.pil_to_tensor(image), [16, 16], antialias=True)
    assert ours.dtype == torch.uint8
    assert (ours.int() - expected.int()).abs().max() <= 1
    assert frame.tolist() == [16, 16, 2.5, 3.75]


def test_training_crop_is_where_the_box_says(no_augment: dict[str, Any]) -> None:
    y, x = np.mgrid[:64, :96]
    picture = png(Image.fromarray(np.stack((2 * x, 2 * y, 0 * x), -1).astype(np.uint8)))
    transform = train(no_augment, scale=[0.2, 0.6])
    for id in range(20):
        image, frame = transform(picture, 3, id)
        height, width = 16 * frame[2], 16 * frame[3]
        red, green = image[0].float().mean(0), image[1].float().mean(1)
        assert (red[-1] - red[0]) / 2 == pytest.approx(width * 15 / 16, abs=1.5)
        assert (green[-1] - green[0]) / 2 == pytest.approx(height * 15 / 16, abs=1.5)


def test_the_same_sample_of_an_epoch_is_the_same_and_others_differ(
    no_augment: dict[str, Any],
) -> None:
    picture = png(noise(64, 96))
    keys = {"flip": True, "color_jitter": 0.4, "policy": "randaugment"}
    transform = train(no_augment, **keys)
    image, _ = transform(picture, 2, 5)
    torch.rand(7)  # torch's own generator has no part in it
    assert torch.equal(image, train(no_augment, **keys)(picture, 2, 5)[0])
    for other in (
        transform(picture, 3, 5),
        transform(picture, 2, 6),
        train(no_augment, seed=1, **keys)(picture, 2, 5),
    ):
        assert not torch.equal(image, other[0])


@pytest.mark.parametrize(("key", "axis"), [("flip", -1), ("vertical_flip", -2)])
def test_flips_mirror_half_of_the_images(no_augment: dict[str, Any], key: str, axis: int) -> None:
    picture = png(noise(16, 16))
    plain = train(no_augment, scale=[1.0, 1.0], ratio=[1.0, 1.0])(picture, 0, 0)[0]
    flips = train(no_augment, scale=[1.0, 1.0], ratio=[1.0, 1.0], **{key: True})
    images = [flips(picture, 0, id)[0] for id in range(400)]
    mirrored = sum(torch.equal(image, plain.flip(axis)) for image in images)
    assert sum(torch.equal(image, plain) for image in images) + mirrored == 400
    assert 150 < mirrored < 250


@pytest.mark.parametrize(
    "keys",
    [
        {"color_jitter": 0.4},
        {"policy": "randaugment"},
        {"policy": "trivialaugment"},
        {"policy": "autoaugment"},
    ],
)
def test_policy_and_jitter_change_uint8_images(
    no_augment: dict[str, Any], keys: dict[str, Any]
) -> None:
    picture = png(noise(24, 24))
    whole = {"scale": [1.0, 1.0], "ratio": [1.0, 1.0]}
    plain = train(no_augment, **whole)(picture, 0, 0)[0]
    images = [train(no_augment, **whole, **keys)(picture, 0, id)[0] for id in range(8)]
    assert {image.dtype for image in images} == {torch.uint8}
    assert {image.shape for image in images} == {plain.shape}
    assert any(not torch.equal(image, plain) for image in images)


def test_a_large_jpeg_is_decoded_smaller_and_looks_the_same(no_augment: dict[str, Any]) -> None:
    y, x = np.mgrid[:960, :1280] / 960
    smooth = np.stack((255 * x * 0.7, 255 * y, 128 + 100 * np.sin(9 * x)), -1).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(smooth).save(stream, "JPEG", quality=95)
    jpeg, whole = Picture(stream.getvalue()), Picture(stream.getvalue())
    asked: list[int] = []
    # Methods replaced, to see what is asked of them.
    jpeg.pixels = lambda scale=1: asked.append(scale) or Picture.pixels(jpeg, scale)  # type: ignore[method-assign]
    whole.pixels = lambda scale=1: Picture.pixels(whole, 1)  # type: ignore[method-assign]
    transform = train(no_augment, size=100)
    for id in range(10):
        ours, frame = transform(jpeg, 0, id)
        expected, same = transform(whole, 0, id)
        assert torch.equal(frame, same)
        assert (ours.int() - expected.int()).abs().float().mean() < 2
        # what is left of the crop is at least as large as what is asked for, and less than twice
        side = float(100 * frame[2:].min())
        assert asked[-1] == 8 or 100 <= side / asked[-1] < 200
    assert set(asked) >= {4, 8}


def test_boxes_have_the_published_distribution() -> None:
    draw, count = Random(0), 4000
    scale, ratio = [0.08, 1.0], [3 / 4, 4 / 3]
    boxes = np.array([random_box(300, 300, scale, ratio, draw) for _ in range(count)])
    top, left, height, width = boxes.T
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + height <= 300).all()
    assert (left + width <= 300).all()
    reference = np.array(
        [
            v2.RandomResizedCrop(8).make_params([torch.zeros(1, 300, 300)])["height"]
            for _ in range(count)
        ]
    )
    quantiles = [0.1, 0.25, 0.5, 0.75, 0.9]
    np.testing.assert_allclose(
        np.quantile(height, quantiles), np.quantile(reference, quantiles), atol=9
    )
    assert abs(np.log(width / height).mean()) < 0.02
    assert math.log(4 / 3) + 0.03 > np.abs(np.log(width / height)).max() > 0.25


@pytest.mark.parametrize("size", [(10, 1000), (1000, 10), (1, 1), (7, 7)])
def test_a_box_that_never_fits_is_torchvisions(size: tuple[int, int]) -> None:
    never = [1.5, 2.0]  # larger than the image: ten draws fail
    box = random_box(*size, never, [3 / 4, 4 / 3], Random(0))
    theirs = v2.RandomResizedCrop(8, scale=tuple(never)).make_params([torch.zeros(1, *size)])
    assert box == tuple(theirs[key] for key in ("top", "left", "height", "width"))

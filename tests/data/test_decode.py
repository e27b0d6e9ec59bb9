"""Expectations are written as numbers, or come from Pillow's plain steps; none from our code."""

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from cnnlab.data import decode
from cnnlab.data.decode import BadImageError, Picture

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def quarters(*colors: tuple[int, ...], mode: str = "RGB") -> Image.Image:
    """48x32 pixels: four colours, from the upper left, row by row."""
    image = Image.new(mode, (48, 32))
    for i, color in enumerate(colors):
        image.paste(color, (24 * (i % 2), 16 * (i // 2), 24 * (i % 2) + 24, 16 * (i // 2) + 16))
    return image


def seen(data: bytes) -> list[tuple[int, int, int]]:
    """The middles of the four quarters, as `quarters` counts them."""
    picture = Picture(data)
    pixels = picture.pixels()
    assert pixels.shape == (picture.height, picture.width, 3)
    assert pixels.dtype == np.uint8
    height, width = pixels.shape[:2]
    return [
        tuple(int(v) for v in pixels[y, x])
        for y in (height // 4, 3 * height // 4)
        for x in (width // 4, 3 * width // 4)
    ]


def photo(size: tuple[int, int] = (160, 120)) -> Image.Image:
    """Smooth and colourful, so that JPEG and scaling keep it nearly."""
    y, x = np.mgrid[: size[1], : size[0]] / np.array(size[::-1]).reshape(2, 1, 1)
    channels = (128 + 100 * np.sin(3 * x), 128 + 100 * np.cos(4 * y), 255 * x * y)
    return Image.fromarray(np.stack(channels, -1).astype(np.uint8))


RGB = (RED, GREEN, BLUE, (10, 20, 30))
SIXTEEN_BITS = Image.fromarray(
    np.kron(np.array([[0, 128 * 257], [65535, 1000]], np.uint16), np.ones((16, 24), np.uint16))
)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(encoded(quarters(*RGB), "PNG"), RGB, id="png"),
        pytest.param(encoded(quarters(*RGB), "WEBP", lossless=True), RGB, id="webp"),
        pytest.param(encoded(quarters(*RGB), "BMP"), RGB, id="bmp"),
        pytest.param(encoded(quarters(*RGB), "TIFF"), RGB, id="tiff"),
        pytest.param(encoded(quarters(*RGB), "PPM"), RGB, id="ppm"),
        pytest.param(
            encoded(quarters(0, 60, 120, 255, mode="L"), "PNG"),
            [(0,) * 3, (60,) * 3, (120,) * 3, WHITE],
            id="grey",
        ),
        pytest.param(
            encoded(quarters(0, 1, 1, 0, mode="1"), "PNG"),
            [(0,) * 3, WHITE, WHITE, (0,) * 3],
            id="1-bit",
        ),
        pytest.param(
            encoded(quarters(*RGB).quantize(4), "PNG"),
            RGB,
            id="palette",
        ),
        pytest.param(
            encoded(quarters(*RGB).quantize(4), "GIF", save_all=True, append_images=[photo()]),
            RGB,
            id="gif-first-frame",
        ),
        pytest.param(
            # half-transparent 200 on white: 200 * 128/255 + 255 * 127/255
            encoded(quarters((200, 255), (200, 0), (200, 128), (0, 255), mode="LA"), "PNG"),
            [(200,) * 3, WHITE, (227,) * 3, (0,) * 3],
            id="grey-alpha",
        ),
        pytest.param(
            encoded(
                quarters((*RED, 255), (*RED, 0), (*RED, 128), (*BLUE, 255), mode="RGBA"), "PNG"
            ),
            [RED, WHITE, (255, 127, 127), BLUE],
            id="alpha-on-white",
        ),
        pytest.param(
            encoded(quarters(*RGB), "PNG", transparency=GREEN),
            [RED, WHITE, BLUE, (10, 20, 30)],
            id="transparent-colour",
        ),
        pytest.param(
            encoded(SIXTEEN_BITS, "PNG"),
            [(0,) * 3, (128,) * 3, WHITE, (4,) * 3],  # 1000 / 257 = 3.9
            id="16-bit-png",
        ),
        pytest.param(
            encoded(SIXTEEN_BITS, "TIFF"),
            [(0,) * 3, (128,) * 3, WHITE, (4,) * 3],
            id="16-bit-tiff",
        ),
        pytest.param(
            # (255 - ink) * (255 - black) / 255
            encoded(
                quarters(
                    (0, 255, 255, 0), (255, 0, 255, 0), (0, 0, 0, 0), (0, 0, 0, 155), mode="CMYK"
                ),
                "TIFF",
            ),
            [RED, GREEN, WHITE, (100,) * 3],
            id="cmyk-tiff",
        ),
    ],
)
def test_every_mode_becomes_rgb(data: bytes, expected: list[tuple[int, ...]]) -> None:
    assert np.abs(np.array(seen(data)) - np.array(expected)).max() <= 1


@pytest.mark.parametrize(
    ("image", "options", "expected"),
    [
        (quarters(*RGB), {"quality": 95, "subsampling": 0}, RGB),
        (quarters(*RGB), {"quality": 95, "subsampling": 0, "progressive": True}, RGB),
        (quarters(*RGB), {"quality": 95, "keep_rgb": True}, RGB),
        (quarters(0, 60, 120, 255, mode="L"), {}, [(0,) * 3, (60,) * 3, (120,) * 3, WHITE]),
        (
            quarters((0, 255, 255, 0), (255, 0, 255, 0), (0, 0, 0, 0), (0, 0, 0, 155), mode="CMYK"),
            {"quality": 95, "subsampling": 0},
            [RED, GREEN, WHITE, (100,) * 3],
        ),
    ],
    ids=["jpeg", "progressive", "rgb", "grey", "cmyk"],
)
def test_every_kind_of_jpeg_becomes_rgb(
    image: Image.Image, options: dict[str, Any], expected: list[tuple[int, ...]]
) -> None:
    colors = seen(encoded(image, "JPEG", **options))
    assert np.abs(np.array(colors) - np.array(expected)).max() <= 6


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("orientation", range(10))  # 0 and 9 are no orientations
def test_exif_orientation_is_applied(form: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(photo(), form, exif=exif)
    picture = Picture(data)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    assert (picture.width, picture.height) == expected.size
    np.testing.assert_array_equal(picture.pixels(), np.asarray(expected))
    if orientation == 6:
        assert expected.size == (120, 160)


def test_broken_exif_says_nothing() -> None:
    data = encoded(photo(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Picture(data).pixels().shape == (120, 160, 3)


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    file = tmp_path / "really_png.jpg"
    quarters(*RGB).save(file, "PNG")
    assert seen(file.read_bytes()) == list(RGB)


def test_plain_jpegs_have_pillows_pixels(real_data: Callable[[str], Path]) -> None:
    files = sorted(real_data("imagenet_samples").glob("val/*/*.JPEG"))
    assert len(files) == 53
    num_fast = 0
    for file in files:
        data = file.read_bytes()
        expected = ImageOps.exif_transpose(Image.open(file)).convert("RGB")
        picture = Picture(data)
        num_fast += picture._decoded is None
        np.testing.assert_array_equal(picture.pixels(), np.asarray(expected))
    assert num_fast == 53


@pytest.mark.parametrize("scale", decode.SCALES)
@pytest.mark.parametrize(("size", "orientation"), [((321, 241), 1), ((320, 240), 6)])
def test_a_scaled_jpeg_is_the_mean_of_blocks(
    scale: int, size: tuple[int, int], orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = Picture(encoded(photo(size), "JPEG", quality=95, exif=exif))
    whole, small = picture.pixels(), picture.pixels(scale)
    height, width = small.shape[:2]
    assert (height, width) == (-(-picture.height // scale), -(-picture.width // scale))
    rows, columns = picture.height // scale, picture.width // scale
    blocks = whole[: rows * scale, : columns * scale].reshape(rows, scale, columns, scale, 3)
    difference = small[:rows, :columns] - blocks.mean((1, 3))
    assert np.abs(difference).mean() < 1.5


def test_other_formats_keep_their_size() -> None:
    assert Picture(encoded(photo(), "PNG")).pixels(4).shape == (120, 160, 3)


JPEG = encoded(photo(), "JPEG")


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>not found</html>", "HTML"),
        (bytes(range(256)), "no image"),
        (JPEG[: len(JPEG) // 2], "truncated"),
        (JPEG[:-2], "truncated"),
        (JPEG[:30], "Truncated"),
        (encoded(photo(), "PNG")[:2000], "truncated|broken"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "no image"),
        (encoded(Image.new("F", (8, 8), 0.5), "TIFF"), "float32 from 0.5 to 0.5"),
        (encoded(Image.new("I", (8, 8), 100_000), "TIFF"), "int32 from 100000 to 100000"),
    ],
    ids=["empty", "html", "junk", "half", "no-end", "header", "png", "eps", "float", "int32"],
)
def test_what_cannot_be_read_says_why(data: bytes, cause: str) -> None:
    with pytest.raises(BadImageError, match=cause):
        Picture(data).pixels()


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_decompression_bombs_are_refused(form: str) -> None:
    compression = {} if form == "PNG" else {"compression": "group4"}
    data = encoded(Image.new("1", (20_000, 20_000)), form, **compression)
    assert len(data) < 200_000
    with pytest.raises(BadImageError, match="decompression bomb"):
        Picture(data)


def test_a_jpeg_too_large_is_refused_before_it_is_decoded() -> None:
    header = bytearray(JPEG)
    at = header.index(b"\xff\xc0") + 5  # height and width of the frame
    header[at : at + 4] = b"\x7f\x00\x7f\x00"
    with pytest.raises(BadImageError, match="decompression bomb"):
        Picture(bytes(header))


def test_damage_that_pillow_hides_is_told() -> None:
    data = encoded(photo((640, 480)), "JPEG", quality=95)
    damaged = data[:5000] + bytes(40) + data[5040:]
    picture = Picture(damaged)
    expected = np.asarray(Image.open(io.BytesIO(damaged)).convert("RGB"))
    np.testing.assert_array_equal(picture.pixels(), expected)
    assert picture.damage is not None
    intact = Picture(data)
    intact.pixels()
    assert intact.damage is None

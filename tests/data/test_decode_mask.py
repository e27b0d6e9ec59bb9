import io

import numpy as np
import pytest
from PIL import Image

from cnnlab.data.decode import BadImageError
from cnnlab.data.decode_mask import mask_values

LEVELS = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_grey_levels_are_the_values(kind: str) -> None:
    values = mask_values(encoded(Image.fromarray(LEVELS), kind))
    assert values.dtype == np.uint8
    assert np.array_equal(values, LEVELS)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
@pytest.mark.parametrize("bits", [4, 8])
def test_indices_are_the_values_and_not_their_colours(kind: str, bits: int) -> None:
    indices = np.arange(12, dtype=np.uint8).reshape(3, 4)
    image = Image.fromarray(indices)
    image.putpalette(bytes(255 - i % 256 for i in range(768)))
    assert image.mode == "P"
    options = {"bits": bits} if kind == "PNG" else {}
    assert np.array_equal(mask_values(encoded(image, kind, **options)), indices)


def test_a_transparent_index_stays_an_index() -> None:
    image = Image.fromarray(LEVELS // 20)
    image.putpalette(bytes(range(256)) * 3)
    assert np.array_equal(mask_values(encoded(image, transparency=0)), LEVELS // 20)


def test_one_bit_is_0_and_1() -> None:
    bits = LEVELS > 100
    values = mask_values(encoded(Image.fromarray(bits)))
    assert values.dtype == np.uint8
    assert np.array_equal(values, bits)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bits_are_kept(kind: str) -> None:
    levels = LEVELS.astype(np.uint16) * 273
    values = mask_values(encoded(Image.fromarray(levels), kind))
    assert values.dtype == np.uint16
    assert np.array_equal(values, levels)


def test_32_bits_only_where_16_hold_them() -> None:
    levels = LEVELS.astype(np.int32) * 273
    assert np.array_equal(mask_values(encoded(Image.fromarray(levels), "TIFF")), levels)
    with pytest.raises(BadImageError, match="mode I"):
        mask_values(encoded(Image.fromarray(levels + 60_000), "TIFF"))
    with pytest.raises(BadImageError, match="mode I"):
        mask_values(encoded(Image.fromarray(levels - 1), "TIFF"))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_colours_are_refused(mode: str) -> None:
    with pytest.raises(BadImageError, match=rf"mode {mode}; a mask has one number a pixel"):
        mask_values(encoded(Image.fromarray(LEVELS).convert(mode)))


def test_what_is_no_mask_is_refused() -> None:
    whole = encoded(Image.effect_noise((64, 64), 90))
    for data, match in (
        (b"", r"it is empty \(0 bytes\)"),
        (encoded(Image.fromarray(LEVELS), "JPEG"), r"it is no image of PNG, .*; it begins with"),
        (b"<html>not found</html>", r"it is no image of PNG, .*b'<html>"),
        (whole[: len(whole) // 2], "truncated"),
        (whole[:40], "."),
    ):
        with pytest.raises(BadImageError, match=match):
            mask_values(data)

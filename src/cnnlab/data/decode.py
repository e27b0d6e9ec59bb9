"""From the bytes of an image file to upright RGB.

Plain JPEGs go through simplejpeg (libjpeg-turbo), which gives Pillow's pixels in two thirds of its
time and can leave out detail that a small crop would not show. Everything else, also a JPEG about
which simplejpeg complains, goes through Pillow. Content decides, not the name of the file.
"""

import io
import warnings
from collections.abc import Callable

import numpy as np
import simplejpeg  # type: ignore[import-untyped]  # ships no types
from PIL import Image

# What Pillow may open: raster formats that it reads by itself (EPS would start Ghostscript).
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
SCALES = (8, 4, 2)
"""By how much `Picture.pixels` can reduce a plain JPEG while it decodes it."""

_UNSUSPICIOUS = 89_478_485  # pixels; of larger images Pillow says whether they are bombs
_ORIENTATION = 0x0112  # EXIF tag
_UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels[::-1].swapaxes(0, 1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: pixels[:, ::-1].swapaxes(0, 1),
}
"""What turns stored pixels upright; orientation 1, and whatever is none of these, needs nothing."""


class BadImageError(Exception):
    """The bytes are no image that can be read; the text is the cause, without the file's name."""


class Picture:
    """The content of an image file: its size at once, its pixels when asked for.

    Attributes:
        height: in pixels, upright.
        width: likewise.
        orientation: of the stored pixels (EXIF), 1 where they are upright as they are.
        damage: after `pixels`: what libjpeg says of a JPEG that decodes all the same, or None.
            Pillow hides such damage, and so does training, as everywhere; `check` tells.

    Raises:
        BadImageError: empty, no image, a format that is not read, truncated, or so large that
            Pillow takes it for a decompression bomb (above 179 million pixels).
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.damage: str | None = None
        self._decoded: np.ndarray | None = None
        size = _plain_jpeg_size(data)
        if size is None:
            self._decoded, self.orientation = _by_pillow(data)
            self.height, self.width = self._decoded.shape[:2]
            return
        self._stored = size
        exif = _exif(data)
        self.orientation = _orientation(exif) if exif else 1
        turned = 5 <= self.orientation <= 8
        self.height, self.width = size[::-1] if turned else size

    def pixels(self, scale: int = 1) -> np.ndarray:
        """Uint8 RGB `(H, W, 3)`, writable, contiguous.

        Args:
            scale: one of `SCALES`: a plain JPEG comes back that much smaller (rounded up), the mean
                of each block in the DCT domain. Anything else keeps its size: look at the shape.

        Raises:
            BadImageError: see the class; a JPEG may turn out to be truncated only here.
        """
        if self._decoded is None:
            try:
                return _upright(self._by_simplejpeg(scale), self.orientation)
            except ValueError as error:  # truncated, or damaged in a way that Pillow passes over
                self._decoded, _ = _by_pillow(self._data)
                self.damage = str(error)
        return self._decoded

    def _by_simplejpeg(self, scale: int) -> np.ndarray:
        if scale == 1:
            return simplejpeg.decode_jpeg(self._data)
        height, width = (side // scale for side in self._stored)
        return simplejpeg.decode_jpeg(self._data, min_height=height, min_width=width, min_factor=2)


def _plain_jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Stored height and width of a JPEG that simplejpeg turns into the right pixels, else None."""
    if data[:3] != b"\xff\xd8\xff":
        return None
    try:
        height, width, colors, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return None
    plain = colors in ("YCbCr", "Gray") and height * width <= _UNSUSPICIOUS
    return (height, width) if plain else None


def _exif(data: bytes) -> bytes:
    """The Exif segment of a JPEG, before the image among APP0..15 and comments; empty if none."""
    at = 2
    while data[at : at + 1] == b"\xff" and (0xE0 <= data[at + 1] <= 0xEF or data[at + 1] == 0xFE):
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        if data[at + 4 : at + 10] == b"Exif\0\0":
            return data[at + 4 : end]
        at = end
    return b""


def _by_pillow(data: bytes) -> tuple[np.ndarray, int]:
    """Any of `FORMATS`, the first frame of several; turned upright from that orientation."""
    if not data:
        raise BadImageError("it is empty (0 bytes)")
    with warnings.catch_warnings(), io.BytesIO(data) as stream:
        warnings.simplefilter("ignore")  # about EXIF, palettes and sizes: decided here
        try:
            image = Image.open(stream, formats=FORMATS)
            image.load()
            orientation = _orientation(image)
            return _upright(_rgb(image), orientation), orientation
        except BadImageError:
            raise
        except Image.UnidentifiedImageError:
            kind = "a page of HTML or XML" if data.lstrip()[:1] == b"<" else "no image"
            raise BadImageError(
                f"it is {kind}, or of another format than {', '.join(FORMATS)}; "
                f"it begins with {data[:12]!r}"
            ) from None
        except Exception as error:  # plugins raise nearly anything on damaged files
            raise BadImageError(str(error) or type(error).__name__) from error


def _orientation(source: bytes | Image.Image) -> int:
    """Of an Exif segment, or of an image; 1 where it does not say, or cannot be read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            exif = Image.Exif()
            if isinstance(source, bytes):
                exif.load(source)
            else:
                exif = source.getexif()
            found = exif.get(_ORIENTATION)
        except Exception:  # plugins raise nearly anything on broken Exif
            return 1
    return found if isinstance(found, int) else 1


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    turn = _UPRIGHT.get(orientation)
    return pixels if turn is None else np.ascontiguousarray(turn(pixels))


def _rgb(image: Image.Image) -> np.ndarray:
    """uint8 `(H, W, 3)`; transparent parts on white, 16 bits scaled to 8."""
    if image.mode.startswith("I") or image.mode == "F":
        return _scaled_to_8_bits(image)
    if image.mode.endswith(("A", "a")) or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.array(image.convert("RGB"))


def _scaled_to_8_bits(image: Image.Image) -> np.ndarray:
    """Pillow's own conversion would turn all above 255 into white."""
    levels = np.asarray(image)
    if levels.dtype.kind == "f" or levels.min() < 0 or levels.max() > 65535:
        raise BadImageError(
            f"its pixels are {levels.dtype} from {levels.min():g} to {levels.max():g}, "
            "a range that says nothing of black and white; convert it to 8 or 16 bits"
        )
    grey = ((levels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)

"""From the bytes of a mask to the values its pixels have."""

import io
import warnings

import numpy as np
from PIL import Image

from cnnlab.data.decode import BadImageError

FORMATS = ("PNG", "BMP", "TIFF", "GIF", "PPM")
"""Lossless ones: a value that JPEG has blurred is another class."""


def mask_values(data: bytes) -> np.ndarray:
    """Uint8 or uint16 `(H, W)`: grey levels, or indices into a palette, not its colours.

    Raises:
        BadImageError: no image of a lossless format, or one of colours.
    """
    if not data:
        raise BadImageError("it is empty (0 bytes)")
    with warnings.catch_warnings(), io.BytesIO(data) as stream:
        warnings.simplefilter("ignore")  # about palettes and sizes
        try:
            image = Image.open(stream, formats=FORMATS)
            image.load()
        except Image.UnidentifiedImageError:
            raise BadImageError(
                f"it is no image of {', '.join(FORMATS)}; it begins with {data[:12]!r}"
            ) from None
        except Exception as error:  # plugins raise nearly anything on damaged files
            raise BadImageError(str(error) or type(error).__name__) from error
    if image.mode == "1":
        return np.asarray(image).astype(np.uint8)
    if image.mode in ("L", "P"):
        return np.asarray(image)
    if image.mode.startswith("I"):
        levels = np.asarray(image)
        if levels.min() >= 0 and levels.max() < 2**16:
            return levels.astype(np.uint16)
    raise BadImageError(
        f"it is a picture of mode {image.mode}; a mask has one number a pixel (mode L or P)"
    )

"""One file of labels in YOLO's text format (github.com/AlexeyAB/darknet, docs.ultralytics.com)."""

import math
from pathlib import Path
from typing import NamedTuple

from cnnlab.errors import UserError


class YoloBox(NamedTuple):
    """A line: class id, and x1, y1, x2, y2 in shares of the image's width and height."""

    label: int
    xyxy: tuple[float, float, float, float]
    line: int
    """Its number, from 1."""


def read_yolo(file: Path, num_classes: int) -> list[YoloBox]:
    """The boxes of an image.

    `class cx cy w h`; or `class x1 y1 x2 y2 x3 y3 ...`, a polygon, whose bounding box counts.

    Raises:
        UserError: no text, a line that is neither, or a class id that is none; names the line.
    """
    try:
        lines = file.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: is no text in UTF-8") from error
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}") from error
    found = []
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words:
            continue
        what = f"{file}, line {number}"
        label, values = _label(words[0], num_classes, what), _numbers(words[1:], what)
        if len(values) == 4:
            cx, cy, w, h = values
            xyxy = (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)
        elif len(values) >= 6 and len(values) % 2 == 0:
            x, y = values[::2], values[1::2]
            # min and max would pass over a NaN.
            bad = math.nan if any(map(math.isnan, values)) else 0.0
            xyxy = (min(x) + bad, min(y), max(x), max(y))
        else:
            raise UserError(
                f"{what}: has {len(words)} numbers; 'class cx cy w h', or a class and the corners "
                "of a polygon"
            )
        found.append(YoloBox(label, xyxy, number))
    return found


def _label(word: str, num_classes: int, what: str) -> int:
    value = _numbers([word], what)[0]
    if not (math.isfinite(value) and value == int(value)):
        raise UserError(f"{what}: class id '{word}' must be a whole number")
    if not 0 <= value < num_classes:
        raise UserError(
            f"{what}: class id {int(value)}, and there are {num_classes} names, 0 to "
            f"{num_classes - 1}"
        )
    return int(value)


def _numbers(words: list[str], what: str) -> list[float]:
    try:
        return [float(word) for word in words]
    except ValueError as error:
        raise UserError(f"{what}: must be numbers: {error}") from error

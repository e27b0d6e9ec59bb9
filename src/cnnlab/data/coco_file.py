"""One file of annotations in COCO's json (Lin et al. 2014, arXiv:1405.0312; cocodataset.org)."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cnnlab.data.box_rows import BoxRows
from cnnlab.data.pairing import named
from cnnlab.errors import UserError


class Category(NamedTuple):
    """What boxes may be of."""

    name: str
    group: str
    """Its `supercategory`, or ""."""


class CocoFile:
    """A file of annotations: categories at once, boxes when their labels are known.

    Args:
        file: to read.

    Attributes:
        categories: by id; ids may have gaps.
        names: `file_name` of each image, in the order of the file.

    Raises:
        UserError: the file is missing, no json, or not of COCO's structure; names what is wrong.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        content = _parsed(file)
        self._images = _list(content, "images", file)
        if not self._images:
            raise UserError(f"{file}: has no image")
        self._boxes = _list(content, "annotations", file)
        labels = (entry.get("category_id") for entry in self._boxes if isinstance(entry, dict))
        used = {label for label in labels if isinstance(label, int)}  # `rows` refuses others
        self.categories: dict[int, Category] = {}
        by_name: dict[str, int] = {}
        for entry in _list(content, "categories", file):
            id, name = _whole(entry, "id", file), _text(entry, "name", file)
            if id in self.categories:
                raise UserError(f"{file}: two categories have the id {id}")
            # Roboflow's category without boxes may have the name of a class.
            if id in used and by_name.setdefault(name, id) != id:
                raise UserError(
                    f"{file}: the categories {by_name[name]} and {id} are both '{name}'"
                )
            self.categories[id] = Category(name, str(entry.get("supercategory") or ""))
        self.names = [_text(entry, "file_name", file) for entry in self._images]

    def rows(
        self, labels: Mapping[str, int], prefix: str, sizes: Callable[[str], tuple[int, int]]
    ) -> BoxRows:
        """Its images and boxes; xywh becomes xyxy, `iscrowd` crowd.

        Args:
            labels: of the categories' names.
            prefix: of the images' names, relative to the root of the set: "" or with '/'.
            sizes: `sizes(name)` gives height and width where the file does not.

        Raises:
            UserError: an id that comes twice, a box of an image or category that is not listed, or
                a value that is no number; names the entry.
        """
        file = self.file
        rows = BoxRows(self._place, relative=False)
        numbers: dict[int, int] = {}
        seen: set[str] = set()
        for entry, name in zip(self._images, self.names, strict=True):
            id = _whole(entry, "id", file)
            if id in numbers or name in seen:
                raise UserError(f"{file}: image {id}, {name}, is listed twice")
            seen.add(name)
            height, width = (_side(entry.get(side), f"{file}: image {id}") for side in _SIDES)
            if not (height and width):
                height, width = sizes(prefix + name)
            numbers[id] = rows.add_image(prefix + name, height, width)
        for number, entry in enumerate(self._boxes):
            what = f"{file}: {_called(entry, number)}"
            image, category = (_whole(entry, key, what) for key in ("image_id", "category_id"))
            if image not in numbers:
                raise UserError(f"{what}: image_id {image} is not among its images")
            if category not in self.categories:
                known = named([str(id) for id in self.categories], 20)
                raise UserError(
                    f"{what}: category_id {category} is not among its categories, {known}"
                )
            rows.add_box(
                numbers[image],
                _corners(entry.get("bbox"), what),
                labels[self.categories[category].name],
                number,
                crowd=_flag(entry.get("iscrowd", 0), what),
                area=_area(entry.get("area"), what),
            )
        return rows

    def _place(self, image: str, number: int) -> str:
        entry = self._boxes[number]
        return f"{self.file}: {_called(entry, number)} of {image}: bbox {entry['bbox']}"


def _called(entry: Any, number: int) -> str:
    """An annotation by its id, else by its place in the list."""
    if isinstance(entry, dict) and "id" in entry:
        return f"annotation with id {entry['id']}"
    return f"annotation number {number + 1} of the list, without an id"


def _parsed(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # JSONDecodeError and UnicodeDecodeError
        raise UserError(f"{file}: is no json: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"{file}: is no json of COCO's structure: it must be an object")
    return content


def _list(content: dict[str, Any], key: str, file: Path) -> list[dict[str, Any]]:
    value = content.get(key)
    if not isinstance(value, list):
        raise UserError(f"{file}: has no list '{key}'; COCO's has images, annotations, categories")
    return value


def _whole(entry: Any, key: str, where: object) -> int:
    value = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(value, int) or isinstance(value, bool):
        raise UserError(f"{where}: '{key}' must be a whole number, not {value!r}")
    return value


def _text(entry: Any, key: str, where: object) -> str:
    value = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(value, str) or not value:
        raise UserError(f"{where}: '{key}' must be a text, not {value!r}")
    return value


_SIDES = ("height", "width")


def _side(value: Any, what: str) -> int:
    """In pixels; 0 where it is not given."""
    if not value:
        return 0
    if not _is_number(value) or not 1 <= value < 2**31 or value != int(value):
        raise UserError(f"{what}: height and width must be whole numbers, not {value!r}")
    return int(value)


def _corners(bbox: Any, what: str) -> tuple[float, float, float, float]:
    if not isinstance(bbox, list) or len(bbox) != 4 or not all(map(_is_number, bbox)):
        raise UserError(f"{what}: 'bbox' must be [x, y, width, height], not {bbox!r}")
    x, y, width, height = bbox
    return x, y, x + width, y + height


def _flag(value: Any, what: str) -> bool:
    if value not in (0, 1):  # by bool() "0" would be true
        raise UserError(f"{what}: 'iscrowd' must be 0, 1, true or false, not {value!r}")
    return bool(value)


def _area(value: Any, what: str) -> float:
    """As annotated; NaN where it is not."""
    if value is None:
        return math.nan
    if not _is_number(value) or not math.isfinite(value):
        raise UserError(f"{what}: 'area' must be a number, not {value!r}")
    return float(value)


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, float) or abs(value) < 2**63

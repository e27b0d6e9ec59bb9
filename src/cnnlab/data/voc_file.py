"""One file of annotations in Pascal VOC's xml (Everingham et al. 2010, IJCV 88)."""

from pathlib import Path
from typing import NamedTuple, NoReturn
from xml.etree import ElementTree
from xml.parsers import expat

from cnnlab.errors import UserError


class VocObject(NamedTuple):
    """A box of a file."""

    name: str
    xyxy: tuple[float, float, float, float]
    """As it stands there."""
    difficult: bool


class VocFile(NamedTuple):
    """What a file says."""

    height: int
    """In pixels; 0 where it does not say."""
    width: int
    objects: list[VocObject]


def read_voc(file: Path) -> VocFile:
    """Size and objects of one image; parts of objects are left out.

    Raises:
        UserError: the file is missing, no xml, declares a document type (entities of one could grow
            without limit), or lacks a value; names what is wrong.
    """
    root = _parsed(file)
    height, width = (_side(root, side, file) for side in ("height", "width"))
    objects = []
    for number, entry in enumerate(root.findall("object"), 1):
        what = f"{file}: object {number}"
        name = (entry.findtext("name") or "").strip()
        if not name:
            raise UserError(f"{what} has no name")
        x1, y1, x2, y2 = (_number(entry, f"bndbox/{corner}", what) for corner in _CORNERS)
        difficult = _number(entry, "difficult", what, 0)
        if difficult not in (0, 1):
            raise UserError(f"{what}: difficult must be 0 or 1, not {difficult:g}")
        objects.append(VocObject(name, (x1, y1, x2, y2), bool(difficult)))
    return VocFile(height, width, objects)


_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def _parsed(file: Path) -> ElementTree.Element:
    """By expat itself, which tells of a document type before any entity is looked at."""
    tree = ElementTree.TreeBuilder()
    parser = expat.ParserCreate()
    parser.StartElementHandler = tree.start
    parser.EndElementHandler = tree.end
    parser.CharacterDataHandler = tree.data

    def refuse(*declared: object) -> NoReturn:
        raise UserError(f"{file}: declares a document type, which annotations need not; remove it")

    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(file.read_bytes(), True)
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}") from error
    except (expat.ExpatError, UnicodeError, LookupError) as error:  # or an unknown encoding
        raise UserError(f"{file}: is no xml: {error}") from error
    return tree.close()


def _side(root: ElementTree.Element, name: str, file: Path) -> int:
    value = _number(root, f"size/{name}", str(file), 0)
    if not 0 <= value < 2**31:
        raise UserError(f"{file}: 'size/{name}' must be a number of pixels, not {value:g}")
    return int(value)


def _number(
    entry: ElementTree.Element, path: str, what: str, default: float | None = None
) -> float:
    text = entry.findtext(path)
    if text is None and default is not None:
        return default
    try:
        return float(text or "")
    except ValueError:
        raise UserError(f"{what}: '{path}' must be a number, not {text!r}") from None

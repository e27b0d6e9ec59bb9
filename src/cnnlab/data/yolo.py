"""Any set of images with boxes in YOLO's text files, described by a yaml."""

import os
from pathlib import Path
from typing import Any, ClassVar

import yaml

from cnnlab.data.annotated import Annotated
from cnnlab.data.box_rows import BoxRows
from cnnlab.data.box_set import BoxSet
from cnnlab.data.image_lookup import refuse_missing
from cnnlab.data.pairing import by_stem, lines_of, named
from cnnlab.data.scan import EXTENSIONS
from cnnlab.data.yolo_file import read_yolo
from cnnlab.errors import UserError

_SPLITS = {"train": ("train",), "val": ("val", "valid"), "test": ("test",)}
_NO_LABELS = "classes.txt"  # lies beside labels where some tools put it


class YOLO(BoxSet):
    """`data.yaml` with `names`, `train`, `val`, `test`; a text file of labels for each image.

    The labels of an image lie where `labels` takes the place of the last folder `images` in its
    path, else beside it; an image without a file has no box. Boxes are of the upright image.

    A split is a folder, a list of folders, or a text file that names images. Its path is looked for
    below `root` and the yaml's `path`, then below `root`; `../` at its begin, which Roboflow
    writes, may be left out.

    Args:
        file: the yaml, relative to the root.
        common: as of `BoxSet`.
    """

    layout: ClassVar[str] = "data.yaml of a set in YOLO's format; data.file names another"

    def __init__(self, *, file: str, **common: Any) -> None:
        super().__init__(**common)
        self.file = file

    def annotated(self) -> Annotated:
        file = self.there(self.file)
        content = _parsed(file)
        names = _names(content, file)
        found = Annotated(dict(enumerate(names)))
        for split, keys in _SPLITS.items():
            given = [content[key] for key in keys if content.get(key)]
            if len(given) > 1:
                raise UserError(f"{file}: has both {' and '.join(keys)}")
            if given:
                images = self._images(given[0], split, content, file)
                found.splits[split] = self._rows(images, len(names), split, found.notes)
        if "train" not in found.splits:
            raise UserError(f"{file}: has no train; {', '.join(map(str, content))} are there")
        return found

    def _rows(self, images: list[str], num_classes: int, split: str, notes: list[str]) -> BoxRows:
        rows = BoxRows(self._place, relative=True)
        without = 0
        for image in images:
            number = rows.add_image(image, 0, 0)
            labels = self.root / labels_of(image)
            if not labels.is_file():
                without += 1
                continue
            for box in read_yolo(labels, num_classes):
                rows.add_box(number, box.xyxy, box.label, box.line)
        if without == len(images):
            raise UserError(
                f"{self.root}: no image of {split} has a file of labels; "
                f"{labels_of(images[0])} would be the first"
            )
        if without:
            notes.append(f"{split}: {without:,} images have no file of labels: without boxes")
        return rows

    def _place(self, image: str, line: int) -> str:
        file = self.root / labels_of(image)
        written = file.read_text("utf-8-sig").splitlines()[line - 1].strip()
        return f"{file}, line {line}: '{written}'"

    def _images(self, given: Any, split: str, content: dict[str, Any], file: Path) -> list[str]:
        """The images of a split, relative to the root."""
        places = given if isinstance(given, list) else [given]
        found: list[str] = []
        for place in places:
            if not isinstance(place, str):
                raise UserError(f"{file}: {split} must be a path or a list of paths, not {place!r}")
            path = self._path(place, content, file)
            found += self._listed(path, content) if path.is_file() else self._folder(path)
        if not found:
            raise UserError(f"{file}: {split}={given} has no image")
        if len(set(found)) < len(found):
            raise UserError(f"{file}: {split}={given} names an image twice")
        return found

    def _bases(self, content: dict[str, Any]) -> list[Path]:
        base = content.get("path")
        below = [self.root / base] if isinstance(base, str) else []
        return [*below, self.root]

    def _path(self, place: str, content: dict[str, Any], file: Path) -> Path:
        bare = place
        while bare.startswith("../"):
            bare = bare[3:]
        tried = [base / name for name in (place, bare) for base in self._bases(content)]
        for path in tried:
            if path.exists():
                return path
        raise UserError(f"{file}: {place} is not there; looked for {' and '.join(_unique(tried))}")

    def _folder(self, folder: Path) -> list[str]:
        """The images below a folder; labels without an image are refused."""
        folder = Path(os.path.normpath(folder))
        images = by_stem(folder, folder, EXTENSIONS)
        found = [os.path.relpath(folder / image, self.root) for image in images.values()]
        places = {os.path.dirname(labels_of(image)) for image in found}
        known = {labels_of(image) for image in found}
        alone = [
            os.path.join(place, name)
            for place in sorted(places)
            if (self.root / place).is_dir()
            for name in sorted(os.listdir(self.root / place))
            if name.endswith(".txt") and name != _NO_LABELS
        ]
        if alone := [name for name in alone if name not in known]:
            raise UserError(f"{self.root}: labels without an image: {named(alone)}")
        return found

    def _listed(self, file: Path, content: dict[str, Any]) -> list[str]:
        """What a text file names, relative to its folder (`./`), else to the set's."""
        lines = lines_of(file)
        bases = [file.parent, *self._bases(content)]
        base = next((b for b in bases if (b / lines[0]).is_file()), bases[0])
        names = [os.path.relpath(base / line, self.root) for line in lines]
        refuse_missing(self.root, names, file)
        return names


def labels_of(image: str) -> str:
    """The file of labels of an image."""
    stem = os.path.splitext(image)[0]
    parts = stem.split("/")
    for i in reversed(range(len(parts) - 1)):
        if parts[i] == "images":
            parts[i] = "labels"
            break
    return "/".join(parts) + ".txt"


def _parsed(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text("utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{file}: is no yaml: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise UserError(f"{file}: must have the keys names, train and val")
    return content


def _names(content: dict[str, Any], file: Path) -> list[str]:
    """The class names by id, of a list or a dict."""
    names = content.get("names")
    if isinstance(names, dict):
        if sorted(names, key=str) != sorted(range(len(names)), key=str):
            raise UserError(f"{file}: the ids in names must be 0 to {len(names) - 1}")
        names = [names[id] for id in range(len(names))]
    if not isinstance(names, list) or not names:
        raise UserError(f"{file}: names must be a list of class names, or a dict from 0 on")
    if wrong := [n for n in names if isinstance(n, bool) or not isinstance(n, str | int)]:
        raise UserError(f"{file}: the class name {wrong[0]!r} must be a text; put it in quotes")
    texts = [str(name) for name in names]
    if len(set(texts)) < len(texts):
        raise UserError(f"{file}: a class name comes twice in names")
    if content.get("nc", len(texts)) != len(texts):
        raise UserError(f"{file}: nc={content['nc']}, and there are {len(texts)} names")
    return texts


def _unique(paths: list[Path]) -> list[str]:
    return list(dict.fromkeys(str(path) for path in paths))

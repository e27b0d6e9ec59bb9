"""Any set of images with boxes in COCO's json; COCO itself and Roboflow's export among them."""

import os
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from cnnlab.data.annotated import Annotated
from cnnlab.data.box_set import BoxSet
from cnnlab.data.coco_file import CocoFile
from cnnlab.data.image_lookup import refuse_missing, size_of
from cnnlab.errors import UserError

_SPLITS = {"train": ("train",), "val": ("val", "valid"), "test": ("test",)}


class COCOJson(BoxSet):
    """`annotations/instances_train*.json` and so on, or `train/_annotations.coco.json`.

    Class ids follow the category ids, which may have gaps. A category of which no split has a box
    and that is the `supercategory` of another one is no class: Roboflow writes one such, with id 0.

    Args:
        annotations: of each split its file, relative to the root; None: as above.
        images: the folder that names of images are relative to, of all splits; None: the first of
            those in `_folders` that has the first image.
        common: as of `BoxSet`.
    """

    layout: ClassVar[str] = (
        "annotations/instances_{train,val,test}*.json, or Roboflow's "
        "{train,valid,test}/_annotations.coco.json; data.annotations names other files"
    )

    def __init__(
        self, *, annotations: dict[str, str] | None, images: str | None, **common: Any
    ) -> None:
        super().__init__(**common)
        self.annotations, self.images = annotations, images

    def annotated(self) -> Annotated:
        files = {split: CocoFile(path) for split, path in self._paths().items()}
        found = Annotated()
        labels: dict[str, int] = {}
        for file in files.values():
            for _, category in sorted(file.categories.items()):
                labels.setdefault(category.name, len(labels))
        found.names = {label: name for name, label in labels.items()}
        for split, file in files.items():
            prefix = self._prefix(split, file)
            refuse_missing(self.root, [prefix + name for name in file.names], file.file)
            found.splits[split] = file.rows(labels, prefix, partial(size_of, self.root))
        _without_groups(found, files)
        return found

    def _paths(self) -> dict[str, Path]:
        if self.annotations is not None:
            if unknown := [split for split in self.annotations if split not in _SPLITS]:
                raise UserError(
                    f"data.annotations.{unknown[0]}: the splits are {', '.join(_SPLITS)}"
                )
            if "train" not in self.annotations:
                raise UserError(f"data.annotations={self.annotations}: has no train")
            return {s: self.there(self.annotations[s]) for s in _SPLITS if s in self.annotations}
        found: dict[str, Path] = {}
        for split, names in _SPLITS.items():
            files = sorted(
                {
                    *(self.root / f"{name}/_annotations.coco.json" for name in names),
                    *(
                        file
                        for name in names
                        for file in self.root.glob(f"annotations/instances_{name}*.json")
                    ),
                }
            )
            files = [file for file in files if file.is_file()]
            if len(files) > 1:
                several = ", ".join(str(file.relative_to(self.root)) for file in files)
                raise UserError(
                    f"{self.root}: {several} may all be {split}; data.annotations.{split}=FILE "
                    "says which"
                )
            if files:
                found[split] = files[0]
        if "train" not in found:
            self.there("annotations/instances_train.json", "train/_annotations.coco.json")
        return found

    def _prefix(self, split: str, file: CocoFile) -> str:
        """What stands before the names of images, relative to the root."""
        folders = self._folders(split, file) if self.images is None else [self.images]
        for folder in folders:
            if os.path.isfile(self.root / folder / file.names[0]):
                return "" if folder in ("", ".") else f"{folder.rstrip('/')}/"
        key = "data.images=FOLDER says where it is" if self.images is None else "data.images"
        raise UserError(
            f"{file.file}: its first image, {file.names[0]}, is not in "
            f"{', '.join(folder or '.' for folder in folders)} below {self.root}; {key}"
        )

    def _folders(self, split: str, file: CocoFile) -> list[str]:
        beside = os.path.relpath(file.file.parent, self.root)
        subset = file.file.stem.removeprefix("instances_")  # train2017
        return [
            *(subset, f"images/{subset}", split, f"images/{split}"),
            *("images", "JPEGImages", beside, ""),
        ]


def _without_groups(found: Annotated, files: dict[str, CocoFile]) -> None:
    groups = {
        category.group: category.name
        for file in files.values()
        for category in file.categories.values()
        if category.group != category.name
    }
    counts = found.counts()
    for label, name in list(found.names.items()):
        if name in groups and not counts[label]:
            del found.names[label]
            found.notes.append(
                f"the category '{name}' has no box and is the group of others: left out"
            )

"""Any set of images with masks that have the same names."""

import os
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

from cnnlab.data.mask_set import MaskSet
from cnnlab.data.pairing import MASK_EXTENSIONS, PairNames, by_stem, lines_of, named, paired
from cnnlab.data.scan import EXTENSIONS, split_folders
from cnnlab.errors import UserError

_SPLITS = ("train", "val", "test")


class Masks(MaskSet):
    """`root/images/STEM.*` and `root/masks/STEM.*`, at any depth.

    The splits are what lists name (`root/{train,val,test}.txt`, or in `root/splits/`: a stem a
    line, with its ending or without), else the folders `images/{train,val,test}` and
    `masks/{train,val,test}`; val without test is test, too. Without either all is train, and
    `test_fraction` and `val_fraction` are held out.
    """

    layout: ClassVar[str] = "images/ and masks/, whose files have the same names up to the ending"

    def __init__(self, *, test_fraction: float, **common: Any) -> None:
        super().__init__(**common)
        self.test_fraction = self.allowed(test_fraction)

    def pairs(self) -> dict[str, PairNames]:
        images, masks = self.there("images"), self.there("masks")
        lists = self._lists()
        if lists:
            return self._listed(lists, by_stem(self.root, images, EXTENSIONS), masks)
        pairs = paired(self.root, images, masks)
        folders = {folder.name: split for split, folder in split_folders(images).items()}
        if not folders:
            return {"train": list(pairs.values())}
        found: dict[str, PairNames] = {split: [] for split in folders.values()}
        for stem, pair in pairs.items():
            first = stem.partition("/")[0]
            if "/" not in stem or first not in folders:
                raise UserError(f"{self.root}: {pair[0]} lies beside {', '.join(folders)}")
            found[folders[first]].append(pair)
        _has_train(found, images)
        return found

    def _lists(self) -> dict[str, Path]:
        for folder in (self.root, self.root / "splits"):
            files = {split: folder / f"{split}.txt" for split in _SPLITS}
            there = {split: file for split, file in files.items() if file.is_file()}
            if there:
                _has_train(there, folder)
                return there
        return {}

    def _listed(
        self, lists: dict[str, Path], images: dict[str, str], masks: Path
    ) -> dict[str, PairNames]:
        """What lists name; other images need no mask."""
        of_masks = by_stem(self.root, masks, MASK_EXTENSIONS)
        found: dict[str, PairNames] = {}
        missing = []
        for split, file in lists.items():
            stems = [_stem(line, images) for line in lines_of(file)]
            found[split] = [
                (images[s], of_masks[s]) for s in stems if s in images and s in of_masks
            ]
            for kind, there in (("images", images), ("masks", of_masks)):
                missing += [f"{kind}/{s} ({file.name})" for s in stems if s not in there]
        if missing:
            raise UserError(f"{self.root}: missing: {named(missing)}")
        times = Counter(image for pairs in found.values() for image, _ in pairs)
        if twice := [image for image, count in times.items() if count > 1]:
            raise UserError(f"{self.root}: in several lists, or twice in one: {named(twice)}")
        return found


def _has_train(splits: dict[str, Any], folder: Path) -> None:
    if "train" not in splits:
        raise UserError(f"{folder}: there is {', '.join(splits)} and no train")


def _stem(line: str, images: dict[str, str]) -> str:
    """What a line names: it may have an ending."""
    stem, ending = os.path.splitext(line)
    return stem if line not in images and ending.lower() in EXTENSIONS else line

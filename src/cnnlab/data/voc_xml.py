"""Any set of images with boxes in Pascal VOC's xml; VOC itself and BCCD among them."""

import os
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

from cnnlab.data.annotated import Annotated
from cnnlab.data.box_rows import BoxRows
from cnnlab.data.box_set import BoxSet
from cnnlab.data.image_lookup import size_of
from cnnlab.data.pairing import by_stem, lines_of, named
from cnnlab.data.scan import EXTENSIONS
from cnnlab.data.voc_file import read_voc
from cnnlab.errors import UserError

_SPLITS = ("train", "val", "test")


class VOCXml(BoxSet):
    """`JPEGImages/STEM.*`, `Annotations/STEM.xml`, and lists of stems in `ImageSets/Main/`.

    What `<filename>` says is not read. Objects that are `difficult` count neither as found nor as
    missed, as crowds do. Classes are those of the files, sorted, or `classes`.

    Args:
        lists: of each split its lists, relative to the root; a list belongs to the tree three
            levels above it, which has the folders `images` and `annotations`. None: what there is
            of `ImageSets/Main/{train,val,test}.txt`; without train.txt all images are train.
        images: folder of a tree.
        annotations: folder of a tree.
        one_based: whether the first pixel is 1 and a box ends with its last pixel, as VOC has it.
            Else numbers are taken as they are.
        common: as of `BoxSet`.
    """

    layout: ClassVar[str] = (
        "JPEGImages/, Annotations/ and, for splits of its own, ImageSets/Main/{train,val,test}.txt"
    )

    def __init__(
        self,
        *,
        lists: dict[str, list[str]] | None,
        images: str,
        annotations: str,
        one_based: bool,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.lists, self.one_based = lists, one_based
        self.images, self.annotations = images, annotations

    def annotated(self) -> Annotated:
        found, labels = Annotated(), dict[str, int]()
        for split, images in self._splits().items():
            rows = found.splits[split] = self._rows(images, labels)
            if rows.doubt:
                found.notes.append(f"{split}: {rows.doubt}")
        if self.chosen is None:
            ordered = sorted(labels)
        else:
            ordered = [name for name in self.chosen if name in labels]
            ordered += sorted(set(labels) - set(ordered))
        found.names = {labels[name]: name for name in ordered}
        return found

    def _rows(self, images: dict[str, str], labels: dict[str, int]) -> BoxRows:
        """Image -> xml, both relative to the root; unknown names get the next label."""

        def place(image: str, number: int) -> str:
            file = self.root / images[image]
            written = ", ".join(f"{side:g}" for side in read_voc(file).objects[number - 1].xyxy)
            return f"{file}: object {number}: [{written}]"

        rows, at_zero = BoxRows(place, relative=False), 0
        for image, xml in images.items():
            content = read_voc(self.root / xml)
            size = content.height, content.width
            number = rows.add_image(image, *(size if all(size) else size_of(self.root, image)))
            for mark, entry in enumerate(content.objects, 1):
                x1, y1, x2, y2 = entry.xyxy
                at_zero += min(x1, y1) == 0
                box = (x1 - 1, y1 - 1, x2, y2) if self.one_based else entry.xyxy
                label = labels.setdefault(entry.name, len(labels))
                rows.add_box(number, box, label, mark, crowd=entry.difficult)
        if self.one_based and at_zero:
            begin = "1 box begins" if at_zero == 1 else f"{at_zero:,} boxes begin"
            rows.doubt = (
                f"{begin} at 0, which is no pixel with data.one_based=true: data.one_based=false "
                "where the set counts from 0"
            )
        return rows

    def _splits(self) -> dict[str, dict[str, str]]:
        """Of each split: image -> xml, relative to the root."""
        lists = self._lists()
        if not lists:
            return {"train": self._tree("")}
        trees: dict[str, dict[str, str]] = {}
        found: dict[str, dict[str, str]] = {}
        for split, files in lists.items():
            found[split] = {}
            for file in files:
                path = self.there(file)
                tree = os.path.dirname(os.path.dirname(os.path.dirname(file)))
                if tree not in trees:
                    trees[tree] = by_stem(
                        self.root, self.there(_joined(tree, self.images)), EXTENSIONS
                    )
                found[split] |= self._listed(path, tree, trees[tree])
        return found

    def _lists(self) -> dict[str, list[str]]:
        if self.lists is None:
            standard = {split: f"ImageSets/Main/{split}.txt" for split in _SPLITS}
            if not (self.root / standard["train"]).is_file():
                return {}
            return {s: [file] for s, file in standard.items() if (self.root / file).is_file()}
        if unknown := [split for split in self.lists if split not in _SPLITS]:
            raise UserError(f"data.lists.{unknown[0]}: the splits are {', '.join(_SPLITS)}")
        if not self.lists.get("train"):
            raise UserError(f"data.lists={self.lists}: has no train")
        return {split: self.lists[split] for split in _SPLITS if self.lists.get(split)}

    def _listed(self, file: Path, tree: str, images: dict[str, str]) -> dict[str, str]:
        """What a list names: a stem a line."""
        stems = lines_of(file)
        xmls = {stem: _joined(tree, f"{self.annotations}/{stem}.xml") for stem in stems}
        missing = [f"{_joined(tree, self.images)}/{stem}.*" for stem in stems if stem not in images]
        missing += [xml for xml in xmls.values() if not os.path.isfile(self.root / xml)]
        if missing:
            raise UserError(f"{file}: missing below {self.root}: {named(missing)}")
        if len(xmls) < len(stems):
            twice = [stem for stem, count in Counter(stems).items() if count > 1]
            raise UserError(f"{file}: listed twice: {named(twice)}")
        return {images[stem]: xml for stem, xml in xmls.items()}

    def _tree(self, tree: str) -> dict[str, str]:
        """All images of a tree and their files."""
        images = by_stem(self.root, self.there(_joined(tree, self.images)), EXTENSIONS)
        xmls = by_stem(self.root, self.there(_joined(tree, self.annotations)), (".xml",))
        alone = [image for stem, image in images.items() if stem not in xmls]
        alone += [xml for stem, xml in xmls.items() if stem not in images]
        if alone:
            raise UserError(f"{self.root}: image without xml, or xml without image: {named(alone)}")
        if not images:
            raise UserError(f"{self.root / self.images} has no image")
        return {image: xmls[stem] for stem, image in images.items()}


def _joined(tree: str, name: str) -> str:
    return f"{tree}/{name}" if tree else name

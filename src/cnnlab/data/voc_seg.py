"""The segmentations of Pascal VOC 2012 (Everingham et al. 2015, IJCV 111)."""

from typing import Any, ClassVar, Literal

from cnnlab.data.mask_set import MaskSet
from cnnlab.data.pairing import PairNames, existing, lines_of


class VOCSeg(MaskSet):
    """1,464 + 1,449 photographs, 20 classes and background; test is val.

    `root` is `VOCdevkit/VOC2012`, or the folder that holds `VOCdevkit`.

    Args:
        train_list: `trainaug`, the 10,582 images with those of SBD (Hariharan et al. 2011) that
            published figures mostly are of, needs `ImageSets/Segmentation/trainaug.txt` and
            `SegmentationClassAug/`.
    """

    layout: ClassVar[str] = (
        "JPEGImages/, SegmentationClass/ and ImageSets/Segmentation/{train,val}.txt of "
        "VOCtrainval_11-May-2012.tar"
    )

    def __init__(self, *, train_list: Literal["train", "trainaug"], **common: Any) -> None:
        super().__init__(**common)
        self.train_list = train_list

    def pairs(self) -> dict[str, PairNames]:
        below = self.there("JPEGImages", "VOCdevkit/VOC2012/JPEGImages").parent
        base = below.relative_to(self.root)
        augmented = self.train_list == "trainaug"
        lists = {"train": self.train_list, "val": "val"}
        folders = {
            "train": "SegmentationClassAug" if augmented else "SegmentationClass",
            "val": "SegmentationClass",
        }
        found = {}
        for split, name in lists.items():
            file = self.there(f"{base}/ImageSets/Segmentation/{name}.txt")
            found[split] = [
                (str(base / f"JPEGImages/{stem}.jpg"), str(base / f"{folders[split]}/{stem}.png"))
                for stem in lines_of(file)
            ]
        existing(self.root, found)
        return found

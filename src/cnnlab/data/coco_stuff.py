"""COCO-Stuff: things and stuff on COCO's 2017 images (Caesar et al. 2018, arXiv:1612.03716)."""

from typing import ClassVar

from cnnlab.data.mask_set import MaskSet
from cnnlab.data.pairing import PairNames, paired


class COCOStuff(MaskSet):
    """118,287 + 5,000 photographs, 171 classes; test is val."""

    layout: ClassVar[str] = (
        "{train2017,val2017}/*.jpg (or in images/) and {train2017,val2017}/*.png of "
        "stuffthingmaps_trainval2017.zip in stuffthingmaps/ or annotations/"
    )

    def pairs(self) -> dict[str, PairNames]:
        found = {}
        for split, folder in (("train", "train2017"), ("val", "val2017")):
            images = self.there(f"images/{folder}", folder)
            masks = self.there(f"stuffthingmaps/{folder}", f"annotations/{folder}")
            found[split] = list(paired(self.root, images, masks).values())
        return found

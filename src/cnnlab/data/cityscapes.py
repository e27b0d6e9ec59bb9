"""Cityscapes, the fine annotations (Cordts et al. 2016, arXiv:1604.01685)."""

from typing import ClassVar

from cnnlab.data.mask_set import MaskSet
from cnnlab.data.pairing import PairNames, paired


class Cityscapes(MaskSet):
    """2,975 + 500 frames of 2048 x 1024, 19 classes; test is val, whose masks are public."""

    layout: ClassVar[str] = (
        "leftImg8bit/{train,val}/CITY/*_leftImg8bit.png and "
        "gtFine/{train,val}/CITY/*_gtFine_labelIds.png of leftImg8bit_trainvaltest.zip and "
        "gtFine_trainvaltest.zip"
    )

    def pairs(self) -> dict[str, PairNames]:
        found = {}
        for split in ("train", "val"):
            images, masks = self.there(f"leftImg8bit/{split}"), self.there(f"gtFine/{split}")
            endings = ["_leftImg8bit.png"], ["_gtFine_labelIds.png"]
            found[split] = list(paired(self.root, images, masks, *endings).values())
        return found

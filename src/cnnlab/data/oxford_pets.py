"""The trimaps of the Oxford-IIIT pets (Parkhi et al. 2012)."""

from typing import ClassVar

from cnnlab.data.mask_set import MaskSet
from cnnlab.data.pairing import PairNames, existing, lines_of


class OxfordPets(MaskSet):
    """3,680 + 3,669 photographs of cats and dogs: pet and background; val is held out of train."""

    layout: ClassVar[str] = (
        "images/*.jpg, annotations/{trainval,test}.txt and annotations/trimaps/*.png of "
        "images.tar.gz and annotations.tar.gz"
    )

    def pairs(self) -> dict[str, PairNames]:
        found = {}
        for split, name in (("train", "trainval"), ("test", "test")):
            names = [line.split()[0] for line in lines_of(self.there(f"annotations/{name}.txt"))]
            found[split] = [(f"images/{n}.jpg", f"annotations/trimaps/{n}.png") for n in names]
        existing(self.root, found)
        return found

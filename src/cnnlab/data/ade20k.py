"""ADE20K, in the version of the scene parsing benchmark (Zhou et al. 2017)."""

from typing import ClassVar

from cnnlab.data.mask_set import MaskSet
from cnnlab.data.pairing import PairNames, paired


class ADE20K(MaskSet):
    """20,210 + 2,000 photographs, 150 classes; test is val.

    `root` is `ADEChallengeData2016`, or the folder that holds it.
    """

    layout: ClassVar[str] = (
        "images/{training,validation}/*.jpg and annotations/{training,validation}/*.png of "
        "ADEChallengeData2016.zip"
    )

    def pairs(self) -> dict[str, PairNames]:
        found = {}
        for split, folder in (("train", "training"), ("val", "validation")):
            images, masks = (
                self.there(f"{kind}/{folder}", f"ADEChallengeData2016/{kind}/{folder}")
                for kind in ("images", "annotations")
            )
            found[split] = list(paired(self.root, images, masks).values())
        return found

"""ImageNet (Russakovsky et al. 2015, arXiv:1409.0575) and sets laid out like it."""

import re

from cnnlab.data.file_set import FileSet
from cnnlab.data.labels import described
from cnnlab.data.module import Splits
from cnnlab.data.scan import same_classes, scan
from cnnlab.errors import UserError

_SYNSET = re.compile(r"n\d{8}")


class ImageNet(FileSet):
    """`root/train/SYNSET/IMAGE` and `root/val/SYNSET/IMAGE`, for any number of synsets.

    Class ids follow the sorted synsets, which for all 1000 is the order every published net has.
    There are no labels of a test split, so test is val, as everywhere; the record says so.
    """

    def read(self) -> Splits:
        for split in ("train", "val"):
            if not (self.root / split).is_dir():
                raise UserError(
                    f"{self.root / split} not found: data.root={self.root} must hold "
                    "train/SYNSET/IMAGE and val/SYNSET/IMAGE (train/n01440764/x.JPEG); "
                    "docs/data.md shows how to lay out ILSVRC2012"
                )
        train, val = (scan(self.root, self.root / split) for split in ("train", "val"))
        synsets = same_classes([train, val])
        if strange := [name for name in synsets if not _SYNSET.fullmatch(name)]:
            raise UserError(
                f"{train.folder / strange[0]} is named like no synset (n01440764); "
                "data=image_folder takes folders of any name"
            )
        ids, classes = self.class_ids(synsets)
        listings = {"train": train.listing(ids), "val": val.listing(ids)}
        return self.splits_of(listings, classes, test_fraction=0)

    def class_ids(self, synsets: list[str]) -> tuple[dict[str, int], list[str]]:
        """The id of each synset that is there, and the names of all classes by id."""
        ids = {synset: i for i, synset in enumerate(synsets)}
        return ids, [described(synset) for synset in synsets]

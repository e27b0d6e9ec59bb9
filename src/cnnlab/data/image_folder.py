"""Any set of images sorted into class folders."""

from typing import Any

from cnnlab.data.file_set import FileSet
from cnnlab.data.module import Splits
from cnnlab.data.scan import same_classes, scan, split_folders
from cnnlab.errors import UserError


class ImageFolder(FileSet):
    """`root/{train,val,test}/CLASS/IMAGE`, or `root/CLASS/IMAGE`.

    `validation` is val, too. What has no folder is held out of train (of all): `val_fraction` and
    `test_fraction`; with `test_fraction` 0, test is val.
    """

    def __init__(self, *, test_fraction: float, **files: Any) -> None:
        super().__init__(**files)
        self.test_fraction = test_fraction

    def read(self) -> Splits:
        if not self.root.is_dir():
            raise UserError(
                f"data.root={self.root} is no folder; looked for {self.root}/train/CLASS/IMAGE or "
                f"{self.root}/CLASS/IMAGE; docs/data.md shows the layouts"
            )
        folders = split_folders(self.root) or {"train": self.root}
        if "train" not in folders:
            raise UserError(f"{self.root / 'train'} is missing beside {folders.popitem()[1]}")
        splits = {name: scan(self.root, folder) for name, folder in folders.items()}
        classes = same_classes(list(splits.values()))
        ids = {name: i for i, name in enumerate(classes)}
        listings = {name: split.listing(ids) for name, split in splits.items()}
        return self.splits_of(listings, classes, self.test_fraction)

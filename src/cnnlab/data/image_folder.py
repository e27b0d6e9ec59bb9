"""Any set of images sorted into class folders."""

from typing import Literal

from cnnlab.data.augment import Augment
from cnnlab.data.file_set import FileSet
from cnnlab.data.module import Splits
from cnnlab.data.scan import same_classes, scan, split_folders
from cnnlab.errors import UserError


class ImageFolder(FileSet):
    """`root/{train,val,test}/CLASS/IMAGE`, or `root/CLASS/IMAGE`.

    `validation` is val, too. What has no folder is held out of train (of all): `val_fraction` and
    `test_fraction`; with `test_fraction` 0, test is val.
    """

    def __init__(
        self,
        *,
        root: str,
        test_fraction: float,
        image_size: int,
        crop_pct: float | None,
        interpolation: Literal["bilinear", "bicubic"] | None,
        bad_files: Literal["error", "skip"],
        seed: int,
        split_seed: int,
        val_fraction: float,
        fraction: float,
        sampler: Literal["shuffle", "balanced"],
        batch_size: int,
        eval_batch_size: int,
        workers: int | Literal["auto"],
        mean: list[float] | None,
        std: list[float] | None,
        augment: Augment,
    ) -> None:
        super().__init__(
            root=root,
            image_size=image_size,
            crop_pct=crop_pct,
            interpolation=interpolation,
            bad_files=bad_files,
            seed=seed,
            split_seed=split_seed,
            val_fraction=val_fraction,
            fraction=fraction,
            sampler=sampler,
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            workers=workers,
            mean=mean,
            std=std,
            augment=augment,
        )
        if not 0 <= test_fraction < 1 - val_fraction:
            raise UserError(
                f"data.test_fraction={test_fraction} must be at least 0 and below "
                f"1 - data.val_fraction={val_fraction}"
            )
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

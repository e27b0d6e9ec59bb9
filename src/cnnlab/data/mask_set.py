"""Base of the sets of images with masks in files."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch

from cnnlab.data.augment import Augment
from cnnlab.data.batch import filling
from cnnlab.data.check_masks import check_masks
from cnnlab.data.class_map import ClassMap
from cnnlab.data.loader import Loader
from cnnlab.data.mask_files import MaskFiles, Pairs
from cnnlab.data.mask_module import MaskModule
from cnnlab.data.mask_transforms import MaskEvalTransform, MaskTrainTransform
from cnnlab.data.module import Splits
from cnnlab.data.names import Names
from cnnlab.data.pairing import NUM_NAMED, PairNames, there
from cnnlab.data.splits import hold_out
from cnnlab.data.unreadable import UnreadableError
from cnnlab.errors import UserError


class MaskSet(MaskModule):
    """Colour images and their masks in files, of any size; grey images become RGB.

    Training takes windows of `image_size`, evaluation whole images. A subclass implements `pairs`
    and says in `layout` what lies below `root`.

    Args:
        root: the folder of the set.
        values: which value of a mask is which class; `ignore` is none.
        eval_side: shorter side in pixels to which evaluation resizes images (figures count at
            the original size all the same); None: as they are.
        bad_files: see `MaskFiles`.
        common: as of `DataModule`.
    """

    only: ClassVar[dict[str, Any]] = {
        "augment.padding": 0,  # windows are cut by scale_jitter
        "augment.scale": [1.0, 1.0],
        "augment.ratio": [1.0, 1.0],
    }
    layout: ClassVar[str]
    """What lies below `root`, in words, for the message where something is missing."""
    test_fraction: float = 0.0
    """Held out of train, before val, where a set has neither val nor test."""

    def __init__(
        self,
        *,
        root: str,
        values: dict[int, str] | None,
        eval_side: int | None,
        bad_files: Literal["error", "skip"],
        augment: Augment,
        **common: Any,
    ) -> None:
        # Images are flipped with their masks where these are read, and not again on the device.
        super().__init__(augment=replace(augment, flip=False), **common)
        self.sample_augment = augment
        self.root = Path(root).expanduser()
        self.values, self.eval_side = values, eval_side
        self.bad_files: Literal["error", "skip"] = bad_files

    def pairs(self) -> dict[str, PairNames]:
        """Image and mask, relative to the root, of `train` and perhaps `val` and `test`.

        Where there is no val it is held out of train; where there is no test, val is test, unless
        there is a `test_fraction` and no val. Shares are of what train had.

        Raises:
            UserError: files are missing; says what was looked for.
        """
        raise NotImplementedError(type(self).__name__)

    def there(self, *names: str) -> Path:
        """The first of `root/NAME` that is there; see `pairing.there`."""
        return there(self.root, self.layout, *names)

    def read(self) -> Splits:
        found = {name: _pairs(pairs) for name, pairs in self.pairs().items()}
        self.class_map = ClassMap(self.values or self._no_values(found["train"]))
        sources = {name: self._files(pairs) for name, pairs in found.items()}
        train, val, test = sources["train"], sources.get("val"), sources.get("test")
        total = len(train)
        if val is None and test is None and self.test_fraction:
            train, test = self._parted(train, round(self.test_fraction * total))
        if val is None:
            train, val = self._parted(train, round(self.val_fraction * total))
        return Splits(
            train,
            val,
            val if test is None else test,
            self.class_map.classes,
            channels=3,
            image_size=None,
            test_is_val=test is None,
        )

    def _parted(self, source: MaskFiles, count: int) -> tuple[MaskFiles, MaskFiles]:
        """What is kept and what is held out, by `split_seed`."""
        kept, held = hold_out(source.targets, count, self.split_seed)
        if not len(held):
            raise UserError(
                f"{self.root}: {len(source)} images are too few to hold out a share of "
                f"data.test_fraction or data.val_fraction={self.val_fraction}; add images, or "
                "lists and folders of the splits"
            )
        return source.subset(kept), source.subset(held)

    def _no_values(self, train: Pairs) -> dict[int, str]:
        """Nothing is guessed; what to type is said."""
        try:
            first = self._files(train, ClassMap({0: "any", 1: "other"})).raw_mask(0)
        except UnreadableError as error:
            raise UserError(f"data.values=null, and {error}") from error
        found = [int(value) for value in torch.from_numpy(first.astype("int32")).unique()]
        words = ",".join(f"{value}: NAME" for value in found[:8])
        more = ", ..." if len(found) > 8 else ""
        raise UserError(
            f"data.values=null: say which value of a mask is which class; {train.masks[0]} has "
            f"{', '.join(map(str, found[:20]))}: 'data.values={{{words}{more}}}', or ignore for "
            "NAME"
        )

    def _files(self, pairs: Pairs, class_map: ClassMap | None = None) -> MaskFiles:
        return MaskFiles(self.root, pairs, class_map or self.class_map, self.bad_files)

    def train_dataloader(self) -> Loader:
        if self.mean is None:
            raise UserError(
                "data.mean=null is what the net was trained with, and there is no net; give it"
            )
        self._source("train").transform = MaskTrainTransform(
            self.image_size, self.sample_augment, self.mean, self.seed
        )
        return super().train_dataloader()

    def val_dataloader(self) -> Loader:
        self._prepare_evaluation("val")
        return super().val_dataloader()

    def test_dataloader(self) -> Loader:
        self._prepare_evaluation("test")
        return super().test_dataloader()

    def _prepare_evaluation(self, split: str) -> None:
        source = self._source(split)
        if self.mean is not None:
            source.padding = filling(self.mean)
        source.transform = MaskEvalTransform(self.eval_side)

    def summary(self) -> dict[str, Any]:
        return super().summary() | {
            "values": {str(value): name for value, name in self.class_map.values.items()},
            "eval_side": self.eval_side,
            "skipped_files": self.skipped_files(),
        }

    def skipped_files(self) -> dict[str, list[str]]:
        """Of each split: the first files left out so far, relative to the root; collective."""
        return {
            name: [self._source(name).names[id] for id in ids[:NUM_NAMED]]
            for name, ids in self.all_skipped().items()
        }

    def _source(self, split: str) -> MaskFiles:
        source = getattr(self._ready(), split)
        assert isinstance(source, MaskFiles)
        return source

    def _counts(self, split: str) -> Sequence[int]:
        return PixelCounts(self._source(split))

    def check_files(self, say: Callable[[str], None]) -> None:
        """Open images and masks, tell what was found, line by line.

        Raises:
            UserError: a mask has values or a size that are wrong, or files cannot be read and
                `bad_files` is `error`.
        """
        splits = self._ready()
        sources = {"train": splits.train, "val": splits.val, "test": splits.test}
        if splits.test_is_val:
            del sources["test"]
        report = check_masks({k: v for k, v in sources.items() if isinstance(v, MaskFiles)})
        for line in report.lines():
            say(line)
        report.refuse(self.bad_files)


class PixelCounts(Sequence[int]):
    """Training pixels of each class, counted when the first is asked for: all masks are read."""

    def __init__(self, source: MaskFiles) -> None:
        self._source = source
        self._counts: list[int] | None = None

    def __len__(self) -> int:
        return len(self._source.class_map.classes)

    # The one form that Sequence's overloads leave to be used here: counts[i].
    def __getitem__(self, index: Any) -> Any:
        if self._counts is None:
            total = torch.zeros(256, dtype=torch.int64)
            for id in range(len(self._source)):
                try:
                    mask = torch.from_numpy(self._source.mask(id))
                except UnreadableError as error:
                    if self._source.bad_files == "error":
                        raise UserError(str(error)) from error
                    continue
                total += mask.flatten().bincount(minlength=256)
            self._counts = total[: len(self)].tolist()
        return self._counts[index]


def _pairs(pairs: PairNames) -> Pairs:
    return Pairs(Names.of(image for image, _ in pairs), Names.of(mask for _, mask in pairs))

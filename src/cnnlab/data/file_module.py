"""What all sets of images in files share."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar, cast

from cnnlab.data.augment import Augment
from cnnlab.data.batch import filling
from cnnlab.data.loader import Loader
from cnnlab.data.module import DataModule, Splits
from cnnlab.data.pairing import NUM_NAMED, there
from cnnlab.data.source import FileSource
from cnnlab.data.splits import hold_out
from cnnlab.errors import UserError

S = TypeVar("S", bound=FileSource)


class FileModule(DataModule, Generic[S]):
    """Base: colour images in files, read one by one; grey images become RGB.

    A subclass implements `read`, `train_transform` and `eval_transform`.

    Args:
        root: the folder of the set.
        bad_files: what a file that cannot be read leads to: `error`, or `skip`: it is left out of
            its batch, and counted.
        augment: what training does.
        common: as of `DataModule`.
    """

    layout: ClassVar[str]
    """What lies below `root`, in words, for the message where something is missing."""
    test_fraction: float = 0.0
    """Held out of train, before val, where a set has no test of its own."""

    def __init__(
        self, *, root: str, bad_files: Literal["error", "skip"], augment: Augment, **common: Any
    ) -> None:
        # Images are flipped where they are read, with what belongs to them, not on the device.
        super().__init__(augment=replace(augment, flip=False, vertical_flip=False), **common)
        self.sample_augment = augment
        self.root = Path(root).expanduser()
        self.bad_files: Literal["error", "skip"] = bad_files

    def train_transform(self) -> Any:
        """What is done to each sample in training; asked for when the net is known."""
        raise NotImplementedError(type(self).__name__)

    def eval_transform(self) -> Any:
        """What is done to each sample of val and test; asked for when the net is known."""
        raise NotImplementedError(type(self).__name__)

    def there(self, *names: str) -> Path:
        """The first of `root/NAME` that is there; see `pairing.there`."""
        return there(self.root, self.layout, *names)

    def known_mean(self) -> list[float]:
        """Of each channel, in 0..1.

        Raises:
            UserError: the config leaves it to the net, and there is none.
        """
        if self.mean is None:
            raise UserError(
                "data.mean=null is what the net was trained with, and there is no net; give it"
            )
        return self.mean

    def allowed(self, test_fraction: float) -> float:
        """`test_fraction`, beside which val leaves something to train on.

        Raises:
            UserError: it does not.
        """
        if not 0 <= test_fraction < 1 - self.val_fraction:
            raise UserError(
                f"data.test_fraction={test_fraction} must be at least 0 and below "
                f"1 - data.val_fraction={self.val_fraction}"
            )
        return test_fraction

    def splits_from(
        self, sources: Mapping[str, S], classes: list[str], image_size: tuple[int, int] | None
    ) -> Splits:
        """Splits of what the set comes as: `train`, and perhaps `val` and `test`.

        Where there is no val it is held out of train; where there is no test, val is test, unless
        there is a `test_fraction` and no val. Shares are of what train had.

        Raises:
            UserError: there are too few images to hold some out.
        """
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
            classes,
            channels=3,
            image_size=image_size,
            test_is_val=test is None,
        )

    def _parted(self, source: S, count: int) -> tuple[S, S]:
        """What is kept and what is held out, by `split_seed`."""
        kept, held = hold_out(source.targets, count, self.split_seed)
        if not len(held):
            raise UserError(
                f"{self.root}: {len(source)} images are too few to hold out a share of "
                f"data.test_fraction or data.val_fraction={self.val_fraction}; add images, or "
                "lists and folders of the splits"
            )
        return source.subset(kept), source.subset(held)

    def train_dataloader(self) -> Loader:
        self._prepare("train", self.train_transform())
        return super().train_dataloader()

    def val_dataloader(self) -> Loader:
        self._prepare("val", self.eval_transform())
        return super().val_dataloader()

    def test_dataloader(self) -> Loader:
        self._prepare("test", self.eval_transform())
        return super().test_dataloader()

    def _prepare(self, split: str, transform: Any) -> None:
        source = self.source(split)
        source.transform = transform
        if self.mean is not None:
            source.padding = filling(self.mean)

    def summary(self) -> dict[str, Any]:
        return super().summary() | {"skipped_files": self.skipped_files()}

    def skipped_files(self) -> dict[str, list[str]]:
        """Of each split: the first files left out so far, relative to the root; collective."""
        return {
            name: [self.source(name).names[id] for id in ids[:NUM_NAMED]]
            for name, ids in self.all_skipped().items()
        }

    def source(self, split: str) -> S:
        """`train`, `val` or `test`."""
        # `read` of a subclass gives sources of its own kind, which Splits does not tell.
        return cast("S", getattr(self._ready(), split))

    def distinct(self) -> dict[str, S]:
        """The splits, without test where that is val."""
        names = ["train", "val"] if self._ready().test_is_val else ["train", "val", "test"]
        return {name: self.source(name) for name in names}

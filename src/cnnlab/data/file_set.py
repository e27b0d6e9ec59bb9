"""Base of the sets whose images are files."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

import timm.data

from cnnlab.data.check_files import check_files
from cnnlab.data.file_module import FileModule
from cnnlab.data.image_files import ImageFiles, Listing
from cnnlab.data.module import Splits
from cnnlab.data.sample_transforms import EvalTransform, Interpolation, TrainTransform
from cnnlab.data.splits import hold_out
from cnnlab.errors import UserError


class FileSet(FileModule[ImageFiles]):
    """Colour images in files, of any size and format; grey ones become RGB.

    Training takes a random-resized crop, evaluation what timm does for the net (resize, centre
    crop). A subclass implements `read` with `splits_of`.
    """

    only: ClassVar[dict[str, Any]] = {"augment.mosaic": 0.0}

    def __init__(
        self,
        *,
        crop_pct: float | None,
        interpolation: Literal["bilinear", "bicubic"] | None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        if self._size is not None and self._size[0] != self._size[1]:
            raise UserError(f"data.image_size={list(self._size)}: must be one number: square crops")
        self.crop_pct, self.interpolation = crop_pct, interpolation
        self.crop_mode = "center"

    def splits_of(
        self, listings: Mapping[str, Listing], classes: list[str], test_fraction: float
    ) -> Splits:
        """Splits from what the set comes as: `train`, and perhaps `val` and `test`.

        Where there is no test it is held out of train, and so is val after it; shares are of what
        train had. With `test_fraction` 0, test is val.

        Raises:
            UserError: the shares leave nothing to train on.
        """
        test_fraction = self.allowed(test_fraction)
        train, total = listings["train"], len(listings["train"].names)
        test, val = listings.get("test"), listings.get("val")
        if test is None and test_fraction:
            kept, held = hold_out(train.targets, round(test_fraction * total), self.split_seed)
            train, test = train.take(kept), train.take(held)
        if val is None:
            count = round(self.val_fraction * total)
            kept, held = hold_out(train.targets, count, self.split_seed)
            train, val = train.take(kept), train.take(held)
        val_files = self._files(val)
        return Splits(
            self._files(train),
            val_files,
            val_files if test is None else self._files(test),
            classes,
            channels=3,
            image_size=None,
            test_is_val=test is None,
        )

    def _files(self, listing: Listing) -> ImageFiles:
        return ImageFiles(self.root, listing, self.bad_files)

    def adopt(self, pretrained_cfg: Mapping[str, Any]) -> None:
        super().adopt(pretrained_cfg)
        # timm's own reading of the net's configuration, with its own defaults for what is not in it
        net = timm.data.resolve_data_config(pretrained_cfg=dict(pretrained_cfg))
        self.crop_mode = net["crop_mode"]
        if self.crop_pct is None:
            self.crop_pct = net["crop_pct"]
        if self.interpolation is None:
            self.interpolation = net["interpolation"]

    def train_transform(self) -> TrainTransform:
        return TrainTransform(
            self.image_size[0], self._known_interpolation(), self.sample_augment, self.seed
        )

    def eval_transform(self) -> EvalTransform:
        if self.crop_pct is None or self.mean is None:
            raise UserError(
                f"data.crop_pct={self.crop_pct} and data.mean={self.mean}: null is what the net "
                "was trained with, and there is no net; give both"
            )
        return EvalTransform(
            self.image_size[0],
            self.crop_pct,
            self._known_interpolation(),
            self.crop_mode,
            self.mean,
        )

    def _known_interpolation(self) -> Interpolation:
        if self.interpolation is None:
            raise UserError(
                "data.interpolation=null is what the net was trained with, and there is no net; "
                "say bilinear or bicubic"
            )
        return self.interpolation

    def summary(self) -> dict[str, Any]:
        return super().summary() | {
            "crop_pct": self.crop_pct,
            "interpolation": self.interpolation,
            "crop_mode": self.crop_mode,
        }

    def check_files(self, say: Callable[[str], None]) -> None:
        """Open the files, tell what was found, line by line.

        Raises:
            UserError: some cannot be read and `bad_files` is `error`.
        """
        report = check_files(self.distinct())
        for line in report.lines(self.classes):
            say(line)
        if report.unreadable and self.bad_files == "error":
            raise UserError(
                f"{len(report.unreadable)} files cannot be read (above); mend or remove them, or "
                "leave such files out with data.bad_files=skip"
            )

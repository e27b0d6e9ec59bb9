"""Base of the sets of images with masks in files."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch

from cnnlab.data.check_masks import check_masks
from cnnlab.data.class_map import ClassMap
from cnnlab.data.file_module import FileModule
from cnnlab.data.mask_files import MaskFiles, Pairs
from cnnlab.data.mask_module import MaskModule
from cnnlab.data.mask_transforms import MaskEvalTransform, MaskTrainTransform
from cnnlab.data.module import Outline, Splits
from cnnlab.data.names import Names
from cnnlab.data.pairing import PairNames
from cnnlab.data.unreadable import UnreadableError
from cnnlab.errors import UserError


class MaskSet(FileModule[MaskFiles], MaskModule):
    """Images and their masks in files, of any size.

    Training takes windows of `image_size`, evaluation whole images. A subclass implements `pairs`
    and says in `layout` what lies below `root`.

    Args:
        values: which value of a mask is which class; `ignore` is none.
        eval_side: shorter side in pixels to which evaluation resizes images (figures count at
            the original size all the same); None: as they are.
        common: as of `FileModule`.
    """

    tasks: ClassVar[tuple[str, ...]] = ("segmentation",)
    only: ClassVar[dict[str, Any]] = {
        "augment.padding": 0,  # windows are cut by scale_jitter
        "augment.scale": [1.0, 1.0],
        "augment.ratio": [1.0, 1.0],
    }

    def __init__(
        self, *, values: dict[int, str] | None, eval_side: int | None, **common: Any
    ) -> None:
        super().__init__(**common)
        self.values, self.eval_side = values, eval_side

    def pairs(self) -> dict[str, PairNames]:
        """Image and mask, relative to the root, of `train` and perhaps `val` and `test`.

        What is missing is held out, see `splits_from`.

        Raises:
            UserError: files are missing; says what was looked for.
        """
        raise NotImplementedError(type(self).__name__)

    def outline(self) -> Outline | None:
        if self.values is None:
            return super().outline()
        return Outline(len(ClassMap(self.values).classes), 3, self._size)

    def read(self) -> Splits:
        found = {name: _pairs(pairs) for name, pairs in self.pairs().items()}
        self.class_map = ClassMap(self.values or self._no_values(found["train"]))
        sources = {name: self._files(pairs) for name, pairs in found.items()}
        return self.splits_from(sources, self.class_map.classes, None)

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

    def train_transform(self) -> MaskTrainTransform:
        return MaskTrainTransform(
            self.image_size, self.sample_augment, self.known_mean(), self.seed
        )

    def eval_transform(self) -> MaskEvalTransform:
        return MaskEvalTransform(self.eval_side)

    def summary(self) -> dict[str, Any]:
        return super().summary() | {
            "values": {str(value): name for value, name in self.class_map.values.items()},
            "eval_side": self.eval_side,
        }

    def counts(self, split: str) -> Sequence[int]:
        return PixelCounts(self.source(split))

    def check_files(self, say: Callable[[str], None]) -> None:
        """Open images and masks, tell what was found, line by line.

        Raises:
            UserError: a mask has values or a size that are wrong, or files cannot be read and
                `bad_files` is `error`.
        """
        report = check_masks(self.distinct())
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

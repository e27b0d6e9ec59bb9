"""Scenes of scikit-learn's handwritten digits: masks without a file, for everyone, off line."""

import hashlib
from collections.abc import Callable
from typing import Any, ClassVar, Self

import torch
from sklearn.datasets import load_digits
from torch import Tensor

from cnnlab.data.batch import Batch, whole_frame
from cnnlab.data.digits import TEST_FRACTION
from cnnlab.data.mask_module import MaskModule
from cnnlab.data.module import Splits
from cnnlab.data.scenes import SIDE, compose
from cnnlab.data.source import BatchSource
from cnnlab.data.splits import hold_out
from cnnlab.seeding import mix


class MaskMemory(BatchSource):
    """Images uint8 `(N, C, H, W)` and masks uint8 `(N, H, W)`, 255 = ignore."""

    def __init__(self, images: Tensor, masks: Tensor) -> None:
        self.images, self.masks = images, masks
        self.targets = torch.zeros(len(images), dtype=torch.int64)  # one stratum
        self.frame = whole_frame(*images.shape[-2:])

    def subset(self, ids: Tensor) -> Self:
        return type(self)(self.images[ids], self.masks[ids])

    def digest(self) -> str:
        sha = hashlib.sha256(repr(tuple(self.images.shape)).encode())
        for tensor in (self.images, self.masks):
            sha.update(tensor.contiguous().numpy().data)
        return sha.hexdigest()

    def fetch(self, ids: Tensor) -> Batch:
        images, masks = self.images.index_select(0, ids), self.masks.index_select(0, ids)
        return Batch(images, masks, ids, self.frame.repeat(len(ids), 1))


class DigitScenes(MaskModule):
    """Colour scenes of 128 x 128 pixels with 2 to 6 digits of 16 to 48 pixels; 11 classes.

    The digits of a split are that split's of `data=digits` (60/20/20, stratified, by
    `split_seed`), so no handwriting of the test is seen in training. Scenes are the same in every
    run.

    Args:
        scenes: of training; val and test have a fifth as many each.
        common: as of `DataModule`.
    """

    crops_on_device: ClassVar[bool] = True
    only: ClassVar[dict[str, Any]] = {
        "augment.scale_jitter": [1.0, 1.0],  # scenes lie in memory as they are
        "augment.class_crops": 0.0,
        "augment.color_jitter": 0.0,
    }

    def __init__(self, *, scenes: int, **common: Any) -> None:
        super().__init__(**common)
        self.scenes = scenes

    def read(self) -> Splits:
        levels, labels = load_digits(return_X_y=True)
        digits = torch.from_numpy(levels).view(-1, 8, 8).float() / 16
        classes = torch.from_numpy(labels).long()
        total, seed = len(classes), self.split_seed
        rest, test = hold_out(classes, round(TEST_FRACTION * total), seed)
        train, val = hold_out(classes[rest], round(self.val_fraction * total), seed)
        few = max(1, self.scenes // 5)
        parts = (rest[train], self.scenes), (rest[val], few), (test, few)
        sources = []
        for number, (ids, count) in enumerate(parts):
            found = compose(digits[ids], classes[ids], count, mix(seed, number))
            sources.append(MaskMemory(found.images, found.masks))
        return Splits(
            train=sources[0],
            val=sources[1],
            test=sources[2],
            classes=["background", *(str(digit) for digit in range(10))],
            channels=3,
            image_size=(SIDE, SIDE),
        )

    def _counts(self, split: str) -> list[int]:
        """Pixels of each class."""
        masks = getattr(self._ready(), split).masks.flatten()
        return [int(count) for count in masks.bincount(minlength=len(self.classes))]

    def check_files(self, say: Callable[[str], None]) -> None:
        """Nothing to open; the shares of the classes, in pixels."""
        super().check_files(say)
        total = sum(self.class_counts)
        shares = zip(self.classes, self.class_counts, strict=True)
        say("train: " + ", ".join(f"{name} {count / total:.2%}" for name, count in shares))

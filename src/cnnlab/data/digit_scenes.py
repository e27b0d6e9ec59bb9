"""Scenes of scikit-learn's handwritten digits: masks and boxes without a file, off line."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import torch
from sklearn.datasets import load_digits
from torch import Tensor

from cnnlab.data.batch import Batch, Boxes, whole_frame
from cnnlab.data.box_table import rows_of
from cnnlab.data.digits import TEST_FRACTION
from cnnlab.data.mask_module import MaskModule
from cnnlab.data.module import Outline, Splits
from cnnlab.data.scenes import SIDE, Scenes, compose
from cnnlab.data.source import BatchSource
from cnnlab.data.splits import hold_out
from cnnlab.errors import UserError
from cnnlab.seeding import mix


class SceneMemory(BatchSource):
    """Scenes in memory, with their masks or their boxes as targets."""

    def __init__(self, scenes: Scenes, *, boxes: bool) -> None:
        self.scenes, self.gives_boxes = scenes, boxes
        self.targets = torch.zeros(len(scenes.images), dtype=torch.int64)  # one stratum
        self.frame = whole_frame(*scenes.images.shape[-2:])
        counts = scenes.scene.bincount(minlength=len(scenes.images))
        self.first = torch.cat((counts.new_zeros(1), counts.cumsum(0)))  # box of each scene

    def subset(self, ids: Tensor) -> Self:
        of_scenes = self._boxes(ids)
        return type(self)(
            Scenes(
                self.scenes.images[ids],
                self.scenes.masks[ids],
                of_scenes.xyxy,
                of_scenes.label,
                of_scenes.image,
            ),
            boxes=self.gives_boxes,
        )

    def digest(self) -> str:
        sha = hashlib.sha256(repr(tuple(self.scenes.images.shape)).encode())
        images, masks, *boxes = self.scenes
        for tensor in (images, *(boxes if self.gives_boxes else [masks])):
            sha.update(tensor.contiguous().numpy().data)
        return sha.hexdigest()

    def fetch(self, ids: Tensor) -> Batch:
        images = self.scenes.images.index_select(0, ids)
        frames = self.frame.repeat(len(ids), 1)
        if self.gives_boxes:
            return Batch(images, self._boxes(ids), ids, frames)
        return Batch(images, self.scenes.masks.index_select(0, ids), ids, frames)

    def _boxes(self, ids: Tensor) -> Boxes:
        which, image = rows_of(self.first, ids)
        xyxy = self.scenes.boxes[which]
        crowd = torch.zeros(len(which), dtype=torch.bool)
        area = (xyxy[:, 2:] - xyxy[:, :2]).prod(1)
        return Boxes(xyxy, self.scenes.labels[which], image, crowd, area)


class DigitScenes(MaskModule):
    """Colour scenes of 128 x 128 pixels with 2 to `digits` digits of 16 to 48 pixels.

    For segmentation masks of 11 classes, the first of which is the background; for detection
    boxes of 10.

    The digits of a split are that split's of `data=digits` (60/20/20, stratified, by
    `split_seed`), so no handwriting of the test is seen in training. Scenes are the same in every
    run.

    Args:
        scenes: of training; val and test have a fifth as many each.
        digits: the most that are tried in a scene; one is exactly one.
        common: as of `DataModule`.
    """

    tasks: ClassVar[tuple[str, ...]] = ("segmentation", "detection")
    crops_on_device: ClassVar[bool] = True
    only: ClassVar[dict[str, Any]] = {
        "augment.scale_jitter": [1.0, 1.0],  # scenes lie in memory as they are
        "augment.class_crops": 0.0,
        "augment.color_jitter": 0.0,
    }

    def __init__(self, *, scenes: int, digits: int, **common: Any) -> None:
        super().__init__(**common)
        self.scenes, self.most = scenes, digits
        self.gives_boxes = False

    def serve(self, tasks: Sequence[str]) -> None:
        self.gives_boxes = "detection" in tasks
        if self.gives_boxes and self.augment.padding:
            raise UserError(
                f"data.augment.padding={self.augment.padding}: scenes with boxes are not cropped; 0"
            )

    def outline(self) -> Outline | None:
        return Outline(10 if self.gives_boxes else 11, 3, self._size or (SIDE, SIDE))

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
            found = compose(digits[ids], classes[ids], count, mix(seed, number), self.most)
            sources.append(SceneMemory(found, boxes=self.gives_boxes))
        names = [str(digit) for digit in range(10)]
        return Splits(
            train=sources[0],
            val=sources[1],
            test=sources[2],
            classes=names if self.gives_boxes else ["background", *names],
            channels=3,
            image_size=(SIDE, SIDE),
        )

    def counts(self, split: str) -> list[int]:
        """Boxes, or pixels, of each class."""
        scenes = getattr(self._ready(), split).scenes
        labels = scenes.labels if self.gives_boxes else scenes.masks.flatten()
        return [int(count) for count in labels.bincount(minlength=len(self.classes))]

    def check_files(self, say: Callable[[str], None]) -> None:
        """Nothing to open; the shares of the classes, in boxes or pixels."""
        super().check_files(say)
        total = sum(self.class_counts)
        shares = zip(self.classes, self.class_counts, strict=True)
        say("train: " + ", ".join(f"{name} {count / total:.2%}" for name, count in shares))

"""Small sets of labelled images, held in memory as one uint8 tensor."""

import hashlib
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from cnnlab.data.batch import Batch, Sample, whole_frame
from cnnlab.data.module import DataModule, Splits
from cnnlab.data.policy import policy
from cnnlab.data.source import BatchSource, SampleSource, Source
from cnnlab.seeding import torch_seeded


class MemorySource(BatchSource):
    """Images uint8 `(N, C, H, W)` and their class ids int64 `(N,)`."""

    def __init__(self, images: Tensor, targets: Tensor) -> None:
        self.images, self.targets = images, targets
        self.frame = whole_frame(*images.shape[-2:])

    def subset(self, ids: Tensor) -> Self:
        return type(self)(self.images[ids], self.targets[ids])

    def digest(self) -> str:
        sha = hashlib.sha256(repr(tuple(self.images.shape)).encode())
        for tensor in (self.images, self.targets):
            sha.update(tensor.contiguous().numpy().data)
        return sha.hexdigest()

    def fetch(self, ids: Tensor) -> Batch:
        # index_select copies whole images; indexing with a tensor takes 20 times as long.
        images = self.images.index_select(0, ids)
        return Batch(images, self.targets[ids], ids, self.frame.repeat(len(ids), 1))


class PolicySource(SampleSource):
    """A source in memory whose images each pass through a transform of single images.

    Slower by far than whole batches, so its samples are made by worker processes.
    """

    def __init__(self, source: MemorySource, transform: nn.Module, seed: int) -> None:
        self.source, self.transform, self.seed = source, transform, seed
        self.targets = source.targets

    def subset(self, ids: Tensor) -> Self:
        return type(self)(self.source.subset(ids), self.transform, self.seed)

    def digest(self) -> str:
        return self.source.digest()

    def load(self, id: int, epoch: int) -> Sample:
        with torch_seeded(self.seed, epoch, id):
            image = self.transform(self.source.images[id])
        return Sample(image, self.targets[id], self.source.frame)


class InMemory(DataModule):
    """Base of the small sets: reads all images, crops and flips on the device."""

    crops_on_device: ClassVar[bool] = True
    only: ClassVar[dict[str, Any]] = {"augment.mosaic": 0.0}

    def in_memory(self, train: MemorySource, test: MemorySource, classes: list[str]) -> Splits:
        """Splits for a set that comes as train and test: val is held out of train."""
        kept, held = self.hold_out(train.targets)
        return self.three(train.subset(kept), train.subset(held), test, classes)

    def three(
        self, train: MemorySource, val: MemorySource, test: MemorySource, classes: list[str]
    ) -> Splits:
        """Splits whose training images pass through `augment.policy`, if there is one."""
        channels, height, width = train.images.shape[1:]
        augmented: Source = train
        if self.augment.policy is not None:
            transform = policy(self.augment.policy, self.augment.magnitude, small=True)
            augmented = PolicySource(train, transform, self.seed)
        return Splits(augmented, val, test, classes, channels, (height, width))

"""Random access to one split of a data set."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Self

from torch import Tensor

from cnnlab.data.batch import Batch, Sample
from cnnlab.data.names import Names


class Source(ABC):
    """One split: N samples with ids 0..N-1. A set implements `BatchSource` or `SampleSource`."""

    targets: Tensor
    """Class ids int64 `(N,)`, or float `(N, K)` of 0 and 1 for several labels an image."""

    def __len__(self) -> int:
        return len(self.targets)

    @abstractmethod
    def subset(self, ids: Tensor) -> Self:
        """The samples `ids` (int64 `(M,)`), which get the new ids 0..M-1."""

    @abstractmethod
    def digest(self) -> str:
        """Sha256 (hex) over what the split consists of, in order.

        Contents where they are in memory, else names relative to the root, and labels.
        """


class BatchSource(Source):
    """Held in memory: whole batches are gathered at once, in the training process."""

    @abstractmethod
    def fetch(self, ids: Tensor) -> Batch:
        """The samples `ids` (int64 `(B,)`)."""


class SampleSource(Source):
    """Read one by one, in worker processes; it travels to them by fork or pickle."""

    padding: Sequence[int] = (0,)
    """Level of each channel, or one for all, around images that are smaller than others of their
    batch."""

    @abstractmethod
    def load(self, id: int, epoch: int) -> Sample | None:
        """Read and transform one sample.

        What is random in it depends on (seed, epoch, id) only: draw within
        `seeding.torch_seeded(seed, epoch, id)`. Evaluation passes epoch 0.

        Returns:
            None where the sample cannot be read and the user chose to skip such: the loader leaves
            it out of its batch and counts it.

        Raises:
            UserError: naming the file; it reaches the user as it is, from a worker too.
        """


class FileSource(SampleSource):
    """Images in files and what belongs to them."""

    transform: Any
    """What is done to each sample as it is read; set before the first `load`."""

    @property
    @abstractmethod
    def names(self) -> Names:
        """Of the images, relative to the root of the set."""

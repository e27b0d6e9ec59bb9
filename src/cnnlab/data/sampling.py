"""Which samples each batch has: a pure function of (seed, epoch) and of the processes that share.

No state of a loader, worker or generator goes into it, so a run gives the same batches with any
number of workers, and a resumed one continues with the order its epoch would have had
(Lightning issue 21938: a DistributedSampler in workers restarts with epoch 0's).
"""

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor, distributed

from cnnlab.errors import UserError
from cnnlab.seeding import mix, permutation


def rank_and_world() -> tuple[int, int]:
    """This process and how many there are; (0, 1) outside of distributed training."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


class BatchSampler(ABC):
    """The batches of this process in one epoch. `set_epoch` is what Lightning calls."""

    epoch: int = 0

    def set_epoch(self, epoch: int) -> None:
        """From now on the order is that of `epoch`."""
        self.epoch = epoch

    @abstractmethod
    def __len__(self) -> int:
        """How many batches: the same on every process."""

    @abstractmethod
    def batches(self) -> list[Tensor]:
        """The ids of each batch, int64."""


class TrainSampler(BatchSampler):
    """Shuffled, equal batches.

    Step k of all processes together takes the k-th stretch of the epoch's order, so that W
    processes of batch B see what one process of batch W * B sees. The remainder of the order is
    left out (another one each epoch). A split smaller than a batch gives one batch, as large as can
    be shared equally.

    Args:
        targets: int64 `(N,)`; class ids decide only with `balanced`.
        batch_size: images a process and step.
        seed: of the order.
        balanced: each class that occurs comes equally often, N // K times an epoch: samples of
            large classes are left out, those of small ones come again, each nearly equally often.

    Raises:
        UserError: fewer samples than processes, or `balanced` with several labels an image.
    """

    def __init__(self, targets: Tensor, batch_size: int, seed: int, balanced: bool) -> None:
        if balanced and targets.ndim > 1:
            raise UserError(
                "data.sampler=balanced needs one class an image and this set has several; "
                "use data.sampler=shuffle"
            )
        self.classes = targets.numpy() if balanced else None
        self.size = len(targets)
        if self.classes is not None:
            num_present = len(np.unique(self.classes))
            self.size = num_present * (self.size // num_present)
        self.batch_size, self.seed = batch_size, seed

    def _shape(self, world: int) -> tuple[int, int]:
        batch = min(self.batch_size, self.size // world)
        if batch == 0:
            raise UserError(f"{self.size} training images cannot be shared by {world} processes")
        return self.size // (batch * world), batch

    def __len__(self) -> int:
        return self._shape(rank_and_world()[1])[0]

    def order(self) -> Tensor:
        """All ids of this epoch, int64 `(size,)`."""
        shuffled = permutation(self.size, self.seed, self.epoch)
        if self.classes is None:
            return torch.from_numpy(shuffled)
        present = np.unique(self.classes)
        quota = self.size // len(present)
        drawn = [
            _repeated(np.flatnonzero(self.classes == label), quota, mix(self.seed, self.epoch, c))
            for c, label in enumerate(present)
        ]
        return torch.from_numpy(np.concatenate(drawn)[shuffled])

    def batches(self) -> list[Tensor]:
        rank, world = rank_and_world()
        steps, batch = self._shape(world)
        return list(self.order()[: steps * world * batch].view(steps, world, batch)[:, rank])


def _repeated(members: np.ndarray, count: int, seed: int) -> np.ndarray:
    """`count` of `members`, in rounds that each have every member at most once."""
    rounds = -(-count // len(members))
    orders = [members[permutation(len(members), seed, r)] for r in range(rounds)]
    return np.concatenate(orders)[:count]


class OverfitSampler(TrainSampler):
    """The first epoch's batches every time, so that `trainer.overfit_batches` sees the same few."""

    def set_epoch(self, epoch: int) -> None:
        pass


class EvalSampler(BatchSampler):
    """In order, each sample exactly once over all processes.

    Every process gets the same number of batches, because DistributedDataParallel synchronises
    buffers in forward: a process with one batch more would wait for ever. Padding with repeats
    (torch's DistributedSampler) would count samples twice. So the split is cut into
    processes x batches nearly equal pieces, and sizes differ by one.

    Args:
        size: samples in the split.
        batch_size: the most images a batch has. (With 1 and a size that the processes cannot share
            equally a batch has two: an empty one would be the alternative.)

    Raises:
        UserError: fewer samples than processes.
    """

    def __init__(self, size: int, batch_size: int) -> None:
        self.size, self.batch_size = size, batch_size

    def _count(self, world: int) -> int:
        if self.size < world:
            raise UserError(
                f"{self.size} images cannot be evaluated by {world} processes, each image once; "
                "use fewer devices"
            )
        return min(-(-self.size // (world * self.batch_size)), self.size // world)

    def __len__(self) -> int:
        return self._count(rank_and_world()[1])

    def batches(self) -> list[Tensor]:
        rank, world = rank_and_world()
        pieces = torch.arange(self.size).tensor_split(world * self._count(world))
        return list(pieces[rank::world])

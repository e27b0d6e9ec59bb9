"""From a source and a sampler to batches, gathered from memory or read by worker processes."""

from collections.abc import Generator, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cnnlab.data.batch import Batch, Boxes, collate
from cnnlab.data.sampling import BatchSampler, EvalSampler
from cnnlab.data.source import BatchSource, SampleSource, Source
from cnnlab.errors import UserError

_Key = tuple[int, list[int]]  # epoch, ids


class Loader:
    """The batches of one split, again and again.

    Nothing is decided before the first `next()`: Lightning calls `iter()` when it sets a fit up,
    and `set_epoch`, which it finds through the attribute `sampler`, only afterwards. There is no
    attribute `dataset`, by which Lightning would rebuild the loader.

    Args:
        source: what to read.
        sampler: which ids each batch has, and of which epoch.
        workers: processes that read a `SampleSource`; 0: this one. They stay alive between epochs.
        pin_memory: batches lie in page-locked memory, from which the copy to a GPU does not wait.
        skipped: gets the ids of the samples that could not be read and were left out by choice.
    """

    batch_sampler: None = None
    """What a torch DataLoader has; Lightning asks everything that has `sampler` for it."""

    def __init__(
        self,
        source: Source,
        sampler: BatchSampler,
        workers: int,
        pin_memory: bool,
        skipped: set[int] | None = None,
    ) -> None:
        self.source, self.sampler = source, sampler
        self.workers, self.pin_memory = workers, pin_memory
        self.skipped = set() if skipped is None else skipped
        self._keys: list[_Key] = []  # of the coming pass
        self._reader: DataLoader | None = None

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Batch]:
        yield from self.batches_from(0)

    def batches_from(self, first: int) -> Iterator[Batch]:
        """The batches of the sampler's epoch, from number `first` on.

        A batch none of whose samples can be read is left out in evaluation only: in training the
        number of steps would no longer be what the schedule and the other processes count on.

        Raises:
            UserError: a sample cannot be read; a whole batch, in training; or all of an evaluation.
        """
        batches = self.sampler.batches()[first:]
        if isinstance(self.source, BatchSource):
            for ids in batches:
                batch = self.source.fetch(ids)
                yield _pinned(batch) if self.pin_memory else batch
            return
        assert isinstance(self.source, SampleSource)
        epoch = self.sampler.epoch
        keys = [(epoch, ids.tolist()) for ids in batches]
        results = self._read(self.source, keys)
        given = 0
        for (_, asked), result in zip(keys, results, strict=True):
            if result is None and not isinstance(self.sampler, EvalSampler):
                result = UserError(
                    f"none of the {len(asked)} images of a batch can be read; ids {asked}"
                )
            if isinstance(result, UserError):
                # End the workers now: collected later, with the traceback, each takes 5 seconds.
                results.close()
                self._reader = None
                raise result
            read = [] if result is None else result.ids.tolist()
            if len(read) < len(asked):
                self.skipped |= set(asked) - set(read)
            if result is not None:
                given += 1
                yield result
        if keys and not given:
            raise UserError(f"none of the {sum(len(ids) for _, ids in keys)} images can be read")

    def _read(
        self, source: SampleSource, keys: list[_Key]
    ) -> Generator[Batch | UserError | None, None, None]:
        if not self.workers:
            reader = _Reader(source)
            for key in keys:
                batch = reader[key]
                yield _pinned(batch) if self.pin_memory and isinstance(batch, Batch) else batch
            return
        self._keys[:] = keys
        if self._reader is None:
            self._reader = DataLoader(
                _Reader(source),
                batch_size=None,  # the keys are whole batches
                sampler=self._keys,
                collate_fn=_as_it_is,
                num_workers=self.workers,
                persistent_workers=True,
                pin_memory=self.pin_memory,
                # Its own, since DataLoader draws a seed: the run's generator stays as it is.
                generator=torch.Generator(),
            )
        yield from self._reader


class _Reader(Dataset):
    """What a worker holds: key in, batch out, or None where no sample can be read.

    A UserError is returned and not raised: torch would wrap it in the worker's traceback.
    """

    def __init__(self, source: SampleSource) -> None:
        self.source = source

    def __getitem__(self, key: _Key) -> Batch | UserError | None:
        epoch, ids = key
        try:
            samples = [(id, self.source.load(id, epoch)) for id in ids]
        except UserError as error:
            return error
        read = [(id, sample) for id, sample in samples if sample is not None]
        if not read:
            return None
        return collate([sample for _, sample in read], [id for id, _ in read], self.source.padding)


def _as_it_is(batch: Any) -> Any:
    return batch


def _pinned(batch: Batch) -> Batch:
    return Batch(*map(_pinned_part, batch))


def _pinned_part(part: Any) -> Any:
    """A tensor, or boxes."""
    return Boxes(*map(Tensor.pin_memory, part)) if isinstance(part, Boxes) else part.pin_memory()

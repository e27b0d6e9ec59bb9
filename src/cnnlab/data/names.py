"""Many file names in little memory."""

import os
from collections.abc import Iterable, Iterator
from typing import Self

import numpy as np
from torch import Tensor


class Names:
    """N names as one run of bytes and where each begins and ends.

    A list of a million `str` is a million objects, and counting references to them writes to them:
    every worker process that was forked would end up with a copy of its own.

    Args:
        blob: the names, one after the other.
        bounds: int64 `(N, 2)`, begin and end of each in `blob`.
    """

    def __init__(self, blob: bytes, bounds: np.ndarray) -> None:
        self._blob, self._bounds = blob, bounds

    @classmethod
    def of(cls, names: Iterable[str]) -> Self:
        """From strings; any name a file system gives survives."""
        encoded = [os.fsencode(name) for name in names]
        ends = np.cumsum([len(name) for name in encoded], dtype=np.int64)
        begins = np.concatenate((np.zeros(1, np.int64), ends))[: len(ends)]
        return cls(b"".join(encoded), np.stack((begins, ends), axis=1))

    def __len__(self) -> int:
        return len(self._bounds)

    def __getitem__(self, index: int) -> str:
        begin, end = self._bounds[index]
        return os.fsdecode(self._blob[begin:end])

    def __iter__(self) -> Iterator[str]:
        return (self[i] for i in range(len(self)))

    def take(self, ids: Tensor) -> Self:
        """Those at `ids` (int64 `(M,)`), in that order; the bytes are shared."""
        return type(self)(self._blob, self._bounds[ids.numpy()])

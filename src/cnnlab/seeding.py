"""Randomness as a function of (seed, epoch, sample) or (seed, rank, step), of no process."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

_GOLDEN, _M1, _M2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_MASK = (1 << 64) - 1


def mix(*parts: int) -> int:
    """A 63-bit seed from whole numbers; near inputs give unrelated seeds.

    splitmix64 (Steele et al. 2014, doi:10.1145/2660193.2660195), so that no package's next version
    changes an order.
    """
    state = 0
    for part in parts:
        state = (state + part + _GOLDEN) & _MASK
        state = ((state ^ (state >> 30)) * _M1) & _MASK
        state = ((state ^ (state >> 27)) * _M2) & _MASK
        state ^= state >> 31
    return state >> 1


def permutation(n: int, *parts: int) -> np.ndarray:
    """0..n-1 in the order that `parts` picks: the indices that sort n draws of splitmix64."""
    with np.errstate(over="ignore"):
        z = (np.arange(1, n + 1, dtype=np.uint64)) * np.uint64(_GOLDEN) + np.uint64(mix(*parts))
        z = (z ^ (z >> np.uint64(30))) * np.uint64(_M1)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(_M2)
    return np.argsort(z ^ (z >> np.uint64(31)), kind="stable")


@contextmanager
def torch_seeded(*parts: int) -> Iterator[None]:
    """Within it torch's CPU generator depends on `parts` alone; afterwards it is as before.

    For transforms that draw from the default generator (torchvision.transforms.v2).
    """
    state = torch.get_rng_state()
    torch.default_generator.manual_seed(mix(*parts))
    try:
        yield
    finally:
        torch.set_rng_state(state)


def reseed(seed: int, rank: int, step: int) -> None:
    """Seed torch's default generators for one training step (dropout, stochastic depth).

    `torch.manual_seed` does it for every backend there is and takes ten times as long.
    """
    value = mix(seed, rank, step)
    torch.default_generator.manual_seed(value)
    if torch.cuda.is_initialized():
        torch.cuda.default_generators[torch.cuda.current_device()].manual_seed(value)

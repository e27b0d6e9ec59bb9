"""Randomness as a function of (seed, rank, step): a resumed run draws what the whole one drew."""

import torch

_MIX = (
    0x9E3779B97F4A7C15,
    0xBF58476D1CE4E5B9,
    0x94D049BB133111EB,
)  # splitmix64 (Steele et al. 2014)
_MASK = (1 << 64) - 1


def mix(*parts: int) -> int:
    """A 63-bit seed from whole numbers; near inputs give unrelated seeds."""
    state = 0
    for part in parts:
        state = (state + part + _MIX[0]) & _MASK
        state = ((state ^ (state >> 30)) * _MIX[1]) & _MASK
        state = ((state ^ (state >> 27)) * _MIX[2]) & _MASK
        state ^= state >> 31
    return state >> 1


def reseed(seed: int, rank: int, step: int) -> None:
    """Seed torch's default generators for one training step (dropout, stochastic depth).

    `torch.manual_seed` does the same for every backend and costs 10 times as much, every step.
    """
    value = mix(seed, rank, step)
    torch.default_generator.manual_seed(value)
    if torch.cuda.is_initialized():
        torch.cuda.default_generators[torch.cuda.current_device()].manual_seed(value)

"""Stratified choices of samples: what is held out, and what a fraction of a set keeps.

Own lines and not scikit-learn's, so that no version of it changes which images a split has.
"""

import numpy as np
import torch
from torch import Tensor

from cnnlab.seeding import mix, permutation


def hold_out(targets: Tensor, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Part a set in two, each class in proportion.

    Args:
        targets: class ids int64 `(N,)`, or float `(N, K)`.
        count: how many samples to hold out; fewer where a class could not keep one for training.
        seed: which samples.

    Returns:
        The ids kept and the ids held out, each ascending.
    """
    held = torch.zeros(len(targets), dtype=torch.bool)
    held[_choose(targets, count, seed, least=0, spare=1)] = True
    return (~held).nonzero().flatten(), held.nonzero().flatten()


def stratified(targets: Tensor, fraction: float, seed: int) -> Tensor:
    """The ids, ascending, of `fraction` of the samples: each class in proportion, at least one."""
    return _choose(targets, round(fraction * len(targets)), seed, least=1, spare=0)


def _choose(targets: Tensor, count: int, seed: int, least: int, spare: int) -> Tensor:
    """About `count` ids: at least `least` of each class, and all but `spare` of it at most.

    Shares are by largest remainder; ties go to the lower class. Within a class the seed decides.
    """
    strata = _strata(targets)
    names, sizes = np.unique(strata, return_counts=True)
    exact = sizes * (count / max(1, len(strata)))
    quotas = np.floor(exact).astype(int)
    for c in np.argsort(quotas - exact, kind="stable")[: count - quotas.sum()]:
        quotas[c] += 1
    quotas = np.clip(quotas, np.minimum(least, sizes), sizes - np.minimum(spare, sizes))
    chosen = [
        np.flatnonzero(strata == name)[permutation(size, mix(seed, int(name)))[:quota]]
        for name, size, quota in zip(names, sizes, quotas, strict=True)
    ]
    return torch.from_numpy(np.sort(np.concatenate(chosen))) if chosen else torch.arange(0)


def _strata(targets: Tensor) -> np.ndarray:
    """One class a sample; of several labels the rarest in the set, K where there is none."""
    if targets.ndim == 1:
        return targets.numpy()
    frequency = targets.sum(0)
    rarest = torch.where(targets > 0, frequency, torch.inf).argmin(1)
    return torch.where(targets.sum(1) > 0, rarest, targets.shape[1]).numpy()

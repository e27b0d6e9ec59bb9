import pytest
import torch
from torch import Tensor

from cnnlab.data import sampling
from cnnlab.data.sampling import EvalSampler, OverfitSampler, TrainSampler
from cnnlab.errors import UserError


def every_rank(
    monkeypatch: pytest.MonkeyPatch, world: int, sampler: sampling.BatchSampler
) -> list[list[Tensor]]:
    """Each simulated process's batches; `len` is checked on the way."""
    batches = []
    for rank in range(world):
        monkeypatch.setattr(sampling, "rank_and_world", lambda rank=rank: (rank, world))
        batches.append(sampler.batches())
        assert len(sampler) == len(batches[-1])
    return batches


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("batch_size", [1, 2, 4, 100])
@pytest.mark.parametrize("size", [3, 4, 5, 7, 13, 100, 101])
def test_evaluation_sees_each_sample_once_in_equally_many_batches(
    monkeypatch: pytest.MonkeyPatch, size: int, batch_size: int, world: int
) -> None:
    ranks = every_rank(monkeypatch, world, EvalSampler(size, batch_size))
    assert len({len(batches) for batches in ranks}) == 1
    sizes = [len(batch) for batches in ranks for batch in batches]
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= max(batch_size, 2 if batch_size == 1 else 0)
    seen = torch.cat([batch for batches in ranks for batch in batches])
    assert sorted(seen.tolist()) == list(range(size))


def test_evaluation_is_in_order() -> None:
    assert torch.cat(EvalSampler(101, 8).batches()).tolist() == list(range(101))


def test_evaluation_refuses_fewer_samples_than_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "rank_and_world", lambda: (0, 3))
    with pytest.raises(UserError, match="2 images cannot be evaluated by 3 processes"):
        len(EvalSampler(2, 4))


@pytest.mark.parametrize(("size", "batch_size"), [(64, 8), (65, 8), (71, 8), (5, 8), (8, 8)])
def test_training_leaves_out_only_the_remainder(size: int, batch_size: int) -> None:
    batches = TrainSampler(torch.zeros(size).long(), batch_size, 0, balanced=False).batches()
    assert {len(batch) for batch in batches} == {min(size, batch_size)}
    seen = torch.cat(batches)
    assert len(seen) == len(seen.unique()) == size - size % min(size, batch_size)


@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.parametrize("size", [5, 24, 50, 101])
def test_processes_share_the_batches_of_one_large_process(
    monkeypatch: pytest.MonkeyPatch, size: int, world: int
) -> None:
    targets = torch.zeros(size).long()
    ranks = every_rank(monkeypatch, world, TrainSampler(targets, 8, 3, balanced=False))
    together = [torch.cat(step) for step in zip(*ranks, strict=True)]
    monkeypatch.setattr(sampling, "rank_and_world", lambda: (0, 1))
    order = TrainSampler(targets, 8, 3, balanced=False).order()
    assert torch.equal(torch.cat(together), order[: sum(map(len, together))])
    assert {len(batch) for rank in ranks for batch in rank} == {min(8, size // world)}


def test_training_refuses_fewer_samples_than_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "rank_and_world", lambda: (0, 3))
    with pytest.raises(UserError, match="2 training images cannot be shared by 3 processes"):
        len(TrainSampler(torch.zeros(2).long(), 8, 0, balanced=False))


def test_order_is_a_function_of_seed_and_epoch() -> None:
    targets = torch.zeros(100).long()

    def order(seed: int, epoch: int) -> list[int]:
        sampler = TrainSampler(targets, 8, seed, balanced=False)
        sampler.set_epoch(epoch)
        return sampler.order().tolist()

    assert order(1, 5) == order(1, 5)
    assert len({tuple(order(seed, epoch)) for seed in range(4) for epoch in range(4)}) == 16


def test_balanced_shows_each_class_and_each_member_equally_often() -> None:
    targets = torch.tensor([0] * 70 + [1] * 20 + [3] * 10)  # class 2 does not occur
    sampler = TrainSampler(targets, 10, 0, balanced=True)
    order = sampler.order()
    assert targets[order].bincount().tolist() == [33, 33, 0, 33]
    times = order.bincount(minlength=100)
    assert times[:70].max() == 1
    assert set(times[70:90].tolist()) == {1, 2}
    assert set(times[90:].tolist()) == {3, 4}
    first = targets[order[:33]].bincount(minlength=4)
    assert (first[[0, 1, 3]] > 3).all()  # shuffled, not class by class
    sampler.set_epoch(1)
    assert not torch.equal(sampler.order(), order)
    assert len(sampler.order().unique()) > 40


def test_balanced_refuses_several_labels() -> None:
    with pytest.raises(UserError, match=r"data\.sampler=balanced"):
        TrainSampler(torch.zeros(4, 2), 2, 0, balanced=True)


def test_overfitting_repeats_the_first_epoch() -> None:
    sampler = OverfitSampler(torch.zeros(50).long(), 8, 0, balanced=False)
    before = sampler.order()
    sampler.set_epoch(3)
    assert torch.equal(sampler.order(), before)

import numpy as np
import pytest
import torch

from cnnlab.seeding import mix, permutation, reseed, torch_seeded


def test_mix_is_splitmix64() -> None:
    # The reference generator's first output from state 0 (Vigna, prng.di.unimi.it/splitmix64.c).
    assert mix(0) == 0xE220A8397B1DCDAF >> 1


def test_mix_tells_order_and_length_apart() -> None:
    seeds = {mix(1, 2), mix(2, 1), mix(1), mix(2), mix(1, 2, 0), mix(0, 1, 2), mix(12)}
    assert len(seeds) == 7


@pytest.mark.parametrize("n", [0, 1, 2, 1000])
def test_permutation_has_each_number_once(n: int) -> None:
    assert sorted(permutation(n, 3, 4)) == list(range(n))


def test_permutation_is_fair() -> None:
    # Each of 5 numbers in each of 5 places: 2000 draws, 400 expected; 6 sigma = 107.
    places = np.array([permutation(5, 7, epoch) for epoch in range(2000)])
    counts = np.array([[(places[:, p] == k).sum() for p in range(5)] for k in range(5)])
    assert abs(counts - 400).max() < 107


def test_permutation_depends_on_every_part() -> None:
    first = permutation(50, 1, 2)
    assert (first == permutation(50, 1, 2)).all()
    assert (first != permutation(50, 2, 2)).any()
    assert (first != permutation(50, 1, 3)).any()


def test_torch_seeded_leaves_the_generator_as_it_was() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    with torch_seeded(5, 6):
        inner = torch.rand(3)
    assert torch.equal(torch.rand(3), expected)
    with torch_seeded(5, 6):
        assert torch.equal(torch.rand(3), inner)
    with torch_seeded(5, 7):
        assert not torch.equal(torch.rand(3), inner)


def test_reseed_makes_each_step_its_own_and_repeatable():
    def draw(*parts: int) -> torch.Tensor:
        reseed(*parts)
        return torch.rand(4)

    first = draw(0, 0, 5)
    torch.rand(100)
    assert torch.equal(draw(0, 0, 5), first)
    for other in ((1, 0, 5), (0, 1, 5), (0, 0, 6)):
        assert not torch.equal(draw(*other), first)

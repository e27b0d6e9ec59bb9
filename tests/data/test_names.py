import os
import pickle
from collections.abc import Callable, Sequence

import pytest
import torch

from cnnlab.data.names import Names

ODD = ["a/1.jpg", "", "b/ä ö.png", "c/日本.jpg", os.fsdecode(b"d/\xff\xfe.jpg"), "e"]


def test_names_come_back_as_they_were() -> None:
    names = Names.of(ODD)
    assert len(names) == 6
    assert list(names) == ODD
    assert [names[i] for i in range(6)] == ODD
    assert list(pickle.loads(pickle.dumps(names))) == ODD
    assert list(Names.of([])) == []


def test_take_picks_in_order_and_again() -> None:
    some = Names.of(ODD).take(torch.tensor([4, 0, 0]))
    assert list(some) == [ODD[4], ODD[0], ODD[0]]
    assert list(some.take(torch.tensor([2]))) == [ODD[0]]


def test_index_beyond_the_end_is_refused() -> None:
    with pytest.raises(IndexError):
        Names.of(ODD)[6]


def test_a_name_takes_its_bytes_and_two_numbers() -> None:
    """So a worker holds a million names of 30 letters in 46 MB that nobody writes to."""
    names = Names.of(f"train/n01440764/n01440764_{i:05}.JPEG" for i in range(10_000))
    assert len(pickle.dumps(names)) < 10_000 * (36 + 16) + 1000


def test_reading_names_does_not_copy_them_into_a_worker(
    growth_mb: Callable[..., float],
) -> None:
    names = Names.of(f"train/n01440764/n01440764_{i:06}.JPEG" for i in range(200_000))

    def read(sequence: Sequence[str]) -> None:
        for i in range(len(sequence)):
            sequence[i]

    as_list = list(names)
    # MB; the list shows that copies are seen.
    assert growth_mb(lambda: read(names)) < 3 < 10 < growth_mb(lambda: read(as_list))

import multiprocessing
import os
import pickle
from collections.abc import Sequence
from multiprocessing.queues import Queue
from pathlib import Path

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


def _private_mb() -> float:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private")) / 1024


def _growth_mb(names: Sequence[str], answer: "Queue[float]") -> None:
    before = _private_mb()
    for i in range(len(names)):
        names[i]
    answer.put(_private_mb() - before)


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux' accounts")
def test_reading_names_does_not_copy_them_into_a_worker() -> None:
    names = Names.of(f"train/n01440764/n01440764_{i:06}.JPEG" for i in range(200_000))
    context = multiprocessing.get_context("fork")
    grown = {}
    for kind, sequence in (("names", names), ("list", list(names))):
        answer = context.Queue()
        process = context.Process(target=_growth_mb, args=(sequence, answer))
        process.start()
        grown[kind] = answer.get(timeout=60)
        process.join()
    assert grown["names"] < 3 < 10 < grown["list"]  # MB; the list shows that copies are seen

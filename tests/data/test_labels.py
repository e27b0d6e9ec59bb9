import csv
from collections.abc import Callable
from pathlib import Path

from cnnlab.data.labels import described, imagenet1k


def test_order_is_that_of_published_nets(real_data: Callable[[str], Path]) -> None:
    synsets = imagenet1k()
    assert synsets == sorted(synsets)
    assert len(set(synsets)) == 1000
    with (real_data("imagenet_samples") / "labels.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 53
    for row in rows:
        assert synsets[int(row["imagenet1k_index"])] == row["synset"]


def test_names_tell_equal_words_apart() -> None:
    assert described("n01440764") == "n01440764 tench"
    assert described("n99999999") == "n99999999"
    assert len({described(synset) for synset in imagenet1k()}) == 1000  # two are cranes

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from cnnlab.data.digits import Digits
from cnnlab.data.in_memory import MemorySource


def splits(keys: dict[str, Any], **changes: Any) -> list[MemorySource]:
    data = Digits(**keys | {"val_fraction": 0.2} | changes)
    data.setup()
    assert data.splits is not None
    sources = [data.splits.train, data.splits.val, data.splits.test]
    return [source for source in sources if isinstance(source, MemorySource)]


def test_sixty_twenty_twenty_each_image_once_under_its_label(data_keys: dict[str, Any]) -> None:
    parts = splits(data_keys)
    assert [len(part) for part in parts] == [1079, 359, 359]
    images = torch.cat([part.images for part in parts])
    targets = torch.cat([part.targets for part in parts])
    assert images.shape == (1797, 1, 32, 32)
    levels, labels = load_digits(return_X_y=True)
    pictures = [Image.fromarray(row.reshape(8, 8).astype(np.float32)) for row in levels]
    enlarged = [np.asarray(p.resize((32, 32), Image.Resampling.BILINEAR)) for p in pictures]
    expected = torch.from_numpy(np.stack(enlarged) * (255 / 16))
    distance, original = torch.cdist(images.flatten(1).float(), expected.flatten(1).float()).min(1)
    assert float(distance.max()) < 32  # 1 a pixel: rounding
    assert sorted(original.tolist()) == list(range(1797))
    assert targets.tolist() == labels[original].tolist()


@pytest.mark.parametrize("part", [0, 1, 2])
def test_each_split_is_stratified(data_keys: dict[str, Any], part: int) -> None:
    source = splits(data_keys)[part]
    share = source.targets.bincount() / len(source)
    whole = torch.from_numpy(np.bincount(load_digits().target)) / 1797
    assert (share - whole).abs().max() < 1.0 / len(source) + 1e-3


def test_split_seed_decides_and_seed_does_not(data_keys: dict[str, Any]) -> None:
    for part in (0, 1, 2):
        first = splits(data_keys)[part].digest()
        assert splits(data_keys, seed=5)[part].digest() == first
        assert splits(data_keys, split_seed=5)[part].digest() != first


def test_mean_and_std_of_the_config(data_keys: dict[str, Any], conf_data: Any) -> None:
    values = splits(data_keys)[0].images.double() / 255
    assert conf_data("digits")["mean"] == pytest.approx([float(values.mean())], abs=1e-2)
    assert conf_data("digits")["std"] == pytest.approx([float(values.std())], abs=1e-2)

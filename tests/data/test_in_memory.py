import hashlib
import pickle
from typing import Any

import pytest
import torch

from cnnlab.data.augment import Augment
from cnnlab.data.in_memory import InMemory, MemorySource, PolicySource
from cnnlab.data.module import Splits
from cnnlab.errors import UserError


def source(size: int = 20) -> MemorySource:
    images = torch.randint(256, (size, 3, 8, 8), dtype=torch.uint8)
    return MemorySource(images, torch.arange(size) % 4)


class Random(InMemory):
    def read(self) -> Splits:
        torch.manual_seed(0)
        return self.in_memory(source(40), source(12), list("abcd"))


def test_subset_has_new_ids_and_the_same_images() -> None:
    whole = source()
    part = whole.subset(torch.tensor([7, 3, 11]))
    batch = part.fetch(torch.tensor([1, 0]))
    assert torch.equal(batch.images, whole.images[[3, 7]])
    assert batch.targets.tolist() == [3, 3]
    assert batch.ids.tolist() == [1, 0]


def test_digest_is_of_pixels_labels_and_order() -> None:
    whole = source()
    order = torch.arange(20).flip(0)
    digests = {
        whole.digest(),
        whole.subset(order).digest(),
        MemorySource(whole.images, (whole.targets + 1) % 4).digest(),
        MemorySource(whole.images ^ 1, whole.targets).digest(),
    }
    assert len(digests) == 4
    content = b"(20, 3, 8, 8)" + whole.images.numpy().tobytes() + whole.targets.numpy().tobytes()
    assert whole.subset(torch.arange(20)).digest() == hashlib.sha256(content).hexdigest()


def test_val_is_held_out_of_train(data_keys: dict[str, Any]) -> None:
    data = Random(**data_keys | {"val_fraction": 0.2})
    data.setup()
    assert data.splits is not None
    assert [len(data.splits.train), len(data.splits.val), len(data.splits.test)] == [32, 8, 12]
    assert data.splits.val.targets.bincount().tolist() == [2, 2, 2, 2]
    assert data.class_counts == [8, 8, 8, 8]
    assert (data.channels, data.image_size, data.classes) == (3, (8, 8), list("abcd"))


def test_a_val_fraction_that_holds_out_nothing_is_refused(data_keys: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"data\.val_fraction=0\.01 of 40 images is none"):
        Random(**data_keys | {"val_fraction": 0.01}).setup()


def test_a_policy_changes_training_only_and_by_seed_epoch_and_sample(
    data_keys: dict[str, Any], no_augment: dict[str, Any]
) -> None:
    augment = Augment(**no_augment | {"policy": "trivialaugment"})
    data, plain = Random(**data_keys | {"augment": augment}), Random(**data_keys)
    for each in (data, plain):
        each.setup()
    assert data.splits is not None
    assert plain.splits is not None
    train = data.splits.train
    assert isinstance(train, PolicySource)
    assert isinstance(data.splits.val, MemorySource)
    assert train.digest() == plain.splits.train.digest()
    first = torch.stack([train.load(i, 0).image for i in range(30)])
    again = torch.stack([pickle.loads(pickle.dumps(train)).load(i, 0).image for i in range(30)])
    later = torch.stack([train.load(i, 1).image for i in range(30)])
    assert torch.equal(first, again)
    assert (first != later).flatten(1).any(1).sum() > 15
    assert [int(train.load(i, 0).target) for i in range(30)] == train.targets[:30].tolist()

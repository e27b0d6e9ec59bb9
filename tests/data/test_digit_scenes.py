from collections.abc import Callable
from typing import Any

import pytest
import torch

from cnnlab.data.augment import Augment
from cnnlab.data.digit_scenes import DigitScenes
from cnnlab.data.digits import Digits


@pytest.fixture
def scenes(data_keys: dict[str, Any]) -> Callable[..., DigitScenes]:
    def make(count: int = 30, **changes: Any) -> DigitScenes:
        given = data_keys | {"val_fraction": 0.2, "mean": [0.5] * 3, "std": [0.2] * 3} | changes
        data = DigitScenes(**{"scenes": count, "digits": 6} | given)
        data.setup()
        return data

    return make


def test_sizes_and_classes(scenes):
    data = scenes(30)
    assert [len(split) for split in data.splits[:3]] == [30, 6, 6]
    assert data.classes == ["background", *"0123456789"]
    assert data.channels == 3
    assert data.image_size == (128, 128)
    assert not data.multi_label


def test_a_batch_has_masks(scenes):
    data = scenes(30, batch_size=4)
    batch = next(iter(data.train_dataloader()))
    assert batch.images.shape == (4, 3, 128, 128)
    assert batch.targets.shape == (4, 128, 128)
    prepared = data.prepare(batch, True, 0)
    assert prepared.targets.dtype == torch.int64
    assert 0 < prepared.targets.max() <= 10


def test_more_scenes_begin_with_the_same_and_the_run_seed_changes_none(scenes):
    few, more = scenes(10, seed=1), scenes(20, seed=2)
    assert torch.equal(few.splits.train.scenes.images, more.splits.train.scenes.images[:10])
    assert few.summary()["digest"]["test"] != scenes(10, split_seed=1).summary()["digest"]["test"]


def test_no_handwriting_of_the_test_is_seen_in_training(scenes, monkeypatch, data_keys):
    """The digits of each split are those that data=digits has in it."""
    seen = []
    from cnnlab.data import digit_scenes

    compose = digit_scenes.compose
    monkeypatch.setattr(
        digit_scenes, "compose", lambda digits, *a: seen.append(digits) or compose(digits, *a)
    )
    scenes(5)
    digits = Digits(**data_keys | {"val_fraction": 0.2, "mean": [0.3], "std": [0.3]})
    digits.setup()
    assert [len(part) for part in seen] == [len(split) for split in digits.splits[:3]]
    keys = [{tuple(d.flatten().tolist()) for d in part} for part in seen]
    assert not keys[0] & keys[2]
    assert not keys[1] & keys[2]


def test_mean_and_std_of_the_config_are_those_of_the_pixels(scenes, conf_data):
    pixels = scenes(200).splits.train.scenes.images.float() / 255
    node = conf_data("digit_scenes")
    torch.testing.assert_close(
        pixels.mean((0, 2, 3)), torch.tensor(node["mean"]), atol=0.02, rtol=0
    )
    torch.testing.assert_close(pixels.std((0, 2, 3)), torch.tensor(node["std"]), atol=0.02, rtol=0)


def test_resized_masks_have_no_new_class(scenes, no_augment):
    data = scenes(8, batch_size=4, image_size=96, augment=Augment(**no_augment))
    batch = next(iter(data.train_dataloader()))
    prepared = data.prepare(batch, True, 0)
    assert prepared.images.shape[-2:] == prepared.targets.shape[-2:] == (96, 96)
    assert set(prepared.targets.unique().tolist()) <= set(batch.targets.unique().tolist())
    looked_at = data.prepare(next(iter(data.test_dataloader())), False, 0)
    assert looked_at.images.shape[-2:] == (96, 96)
    assert looked_at.targets.shape[-2:] == (128, 128)


def test_classes_are_counted_in_pixels(scenes):
    data = scenes(12)
    masks = data.splits.train.scenes.masks
    assert data.class_counts == [int((masks == i).sum()) for i in range(11)]
    said: list[str] = []
    data.describe(said.append)
    data.check_files(said.append)
    assert said[0] == "train 12, val 2, test 2; 11 classes"
    assert f"background {(masks == 0).float().mean():.2%}" in said[-1]


def test_boxes_are_around_the_digits_masks(scenes, data_keys):
    """Box by box, from the masks of the same scenes; also of a part of them."""
    whole = scenes(20).splits.train.scenes
    keys = data_keys | {"val_fraction": 0.2, "fraction": 0.5, "batch_size": 10}
    data = DigitScenes(scenes=20, digits=6, **keys)
    data.serve(["detection"])
    data.setup()
    assert data.classes == list("0123456789")
    batch = next(iter(data.train_dataloader()))
    assert batch.targets.image.unique().tolist() == list(range(10))
    for k, image in enumerate(batch.images):
        scene = next(s for s in range(20) if torch.equal(whole.images[s], image))
        mine = batch.targets.image == k
        assert len(mine.nonzero()) == len((whole.scene == scene).nonzero())
        for box, label in zip(batch.targets.xyxy[mine], batch.targets.label[mine], strict=True):
            x1, y1, x2, y2 = box.int().tolist()
            inside = whole.masks[scene, y1:y2, x1:x2] == label + 1
            assert inside.any(0)[[0, -1]].all()
            assert inside.any(1)[[0, -1]].all()

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from cnnlab.data.scenes import SIDE, SIDES, Scenes, compose

MOST = 6


@pytest.fixture(scope="module")
def digits() -> tuple[torch.Tensor, torch.Tensor]:
    levels, labels = load_digits(return_X_y=True)
    return torch.from_numpy(levels).view(-1, 8, 8).float() / 16, torch.from_numpy(labels).long()


@pytest.fixture(scope="module")
def scenes(digits) -> Scenes:
    return compose(*digits, count=60, seed=3, most=MOST)


def test_shapes_and_kinds(scenes):
    assert scenes.images.shape == (60, 3, SIDE, SIDE)
    assert scenes.masks.shape == (60, SIDE, SIDE)
    assert scenes.images.dtype == scenes.masks.dtype == torch.uint8
    assert len(scenes.boxes) == len(scenes.labels) == len(scenes.scene)
    assert set(scenes.labels.tolist()) == set(range(10))


def test_a_scene_is_a_function_of_seed_and_number(digits, scenes):
    fewer = compose(*digits, count=7, seed=3, most=MOST)
    assert torch.equal(fewer.images, scenes.images[:7])
    assert torch.equal(fewer.masks, scenes.masks[:7])
    assert not torch.equal(compose(*digits, count=7, seed=4, most=MOST).images, fewer.images)


def test_a_scene_does_not_depend_on_the_threads(digits):
    before, found = torch.get_num_threads(), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        try:
            found.append(compose(*digits, count=60, seed=3, most=MOST).images)
            assert torch.get_num_threads() == threads
        finally:
            torch.set_num_threads(before)
    assert torch.equal(*found)


def test_each_box_is_tight_around_pixels_of_its_digit(scenes):
    for box, label, number in zip(*scenes[2:], strict=True):
        x1, y1, x2, y2 = (int(side) for side in box)
        inside = scenes.masks[number, y1:y2, x1:x2] == label + 1
        assert inside[0].any()
        assert inside[-1].any()
        assert inside[:, 0].any()
        assert inside[:, -1].any()


def test_every_digit_pixel_lies_in_a_box_of_its_class(scenes):
    for number, mask in enumerate(scenes.masks):
        left = mask.clone()
        for box, label in zip(
            scenes.boxes[scenes.scene == number], scenes.labels[scenes.scene == number], strict=True
        ):
            x1, y1, x2, y2 = (int(side) for side in box)
            window = left[y1:y2, x1:x2]
            window[window == label + 1] = 0
        assert not left.any()


def test_digits_are_as_many_and_as_large_as_promised(scenes):
    counts = scenes.scene.bincount(minlength=60)
    assert counts.min() >= 1
    assert counts.max() == MOST
    height = scenes.boxes[:, 3] - scenes.boxes[:, 1]
    assert height.max() <= SIDES[1]
    assert height.min() >= SIDES[0] / 2  # ink covers most of the square's height


def test_one_digit_a_scene_makes_digits_rare(digits, scenes):
    single = compose(*digits, count=60, seed=3, most=1)
    assert single.scene.tolist() == list(range(60))
    assert (single.masks > 0).float().mean() < 0.5 * (scenes.masks > 0).float().mean()


def test_digits_can_be_seen(scenes):
    """The mean of a digit's pixels is far from what surrounds it, in every channel."""
    images = scenes.images.float().numpy()
    for box, label, number in list(zip(*scenes[2:], strict=True))[:80]:
        x1, y1, x2, y2 = (int(side) for side in box)
        window = images[number, :, y1:y2, x1:x2]
        mask = scenes.masks[number, y1:y2, x1:x2].numpy()
        inside, around = window[:, mask == label + 1], window[:, mask == 0]
        assert np.abs(inside.mean(1) - around.mean(1)).min() > 20

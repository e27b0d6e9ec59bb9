import math

import pytest

from cnnlab.config import compose, keys
from cnnlab.config.plain import unresolved
from cnnlab.config.ranges import RANGES, faults


def nested(key, value):
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("seed", [0, 2**32 - 1], [-1, 2**32]),
        ("data.batch_size", [1, 4096], [0, -1]),
        ("data.fraction", [1e-3, 1, 1.0], [0, 1.1, math.nan]),
        ("data.val_fraction", [0.1], [0, 1]),
        ("data.std", [[0.1, 0.2], None], [[0.1, 0.0]]),
        ("data.workers", [0, 4, "auto"], [-1]),
        ("data.test_fraction", [0, 0.5], [-0.1, 1.0]),
        ("data.crop_pct", [0.9, 1, None], [0, 1.2]),
        ("scheduler.milestones", [[30, 60], [5]], [[30, 10]]),
        ("data.augment.scale", [[0.1, 1], [1, 1]], [[1, 0.5], [0, 1]]),
        ("data.augment.erasing", [0, 1], [-0.1, 1.1]),
        ("optimizer.lr", [1e-9], [0, -1, math.inf, math.nan]),
        ("optimizer.betas", [[0.9, 0.999]], [[0.9, 1.0]]),
        ("model.freeze", [0], [-1]),
        ("model.kernel_sizes", [3, [3, 5]], [0, [3, 0]]),
        ("trainer.max_epochs", [1], [0, -1]),
        ("trainer.max_steps", [-1, 0, 5], [-2]),
        ("trainer.limit_val_batches", [0, 7, 0.5, 1.0], [-1, 1.5, -0.5]),
        ("head.levels", [1, 8], [0, 9]),
        ("trainer.devices", [1, "auto", [0, 1]], [0, [-1]]),
    ],
)
def test_ranges(key, good, bad):
    assert all(list(faults(nested(key, value))) == [] for value in good)
    for value in bad:
        (said,) = faults(nested(key, value))
        assert said.startswith(f"{key}={value}: must be ")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("data.fraction", 2, "data.fraction=2: must be above 0 and at most 1"),
        ("trainer.max_epochs", 0, "trainer.max_epochs=0: must be at least 1"),
        ("head.anchors.ratios", [], "head.anchors.ratios=[]: must list one number or more"),
        ("seed", -1, "seed=-1: must be at least 0 and at most 4294967295"),
    ],
)
def test_what_is_said(key, value, said):
    assert list(faults(nested(key, value))) == [said]


NETS = ("wrn_cifar", "anynet", "densenet121", "nasnet_a_mobile", "deform_resnet50")
NETS += ("efficientnet_scaled", "convnext_walk")
DETECTORS = ("retinanet", "ssd", "faster_rcnn", "rfcn", "class_aware_rpn")


def test_keys_of_the_table_exist():
    """Catches a range that lost its key when the key was renamed."""
    plains = [
        unresolved(compose(words).cfg)
        for words in (
            ["model=resnext50_32x4d", "recipe=convnext", "scheduler=multistep"],
            ["model=convnext_tiny", "scheduler=plateau", "loss=focal"],
            ["model=resnet50", "scheduler=step"],
            ["model=resnet_cifar", "data=image_folder"],
            ["data=masks", "loss=tversky"],
            ["data=camvid", "head=fcn", "loss=boundary"],
            ["data=digit_scenes"],
            *(["data=bccd", f"head={name}"] for name in DETECTORS),
            *([f"model={name}"] for name in NETS),
        )
    ]
    known = {key for plain in plains for key in keys.flat(plain)}
    set_later = {"optimizer.alpha", "callbacks.gradient_clip.value"}
    set_later |= {"callbacks.early_stopping.patience"}
    assert set(RANGES) - set_later <= known


@pytest.mark.parametrize("part", ["loss", "loss.rpn"])
def test_what_is_background_is_no_object(part):
    def said(background, foreground):
        own = {"background": background, "foreground": foreground}
        return list(faults(nested(part, own)))

    assert said(0.4, 0.5) == said(0.5, 0.5) == []
    assert said(0.6, 0.5) == [f"{part}.background=0.6: must be at most {part}.foreground=0.5"]

"""A word where nobody chose the net and the default one is made for far smaller images."""

import math
from typing import Any

from cnnlab.config.composed import Composed
from cnnlab.tasks.base import Task

FACTOR = 4
"""Sides of images, in those of the net's own input, beyond which it is told."""


def remark(composed: Composed, task: Task, size: tuple[int, int]) -> str:
    """One line, or "".

    Args:
        composed: the config; an experiment may have chosen the net, too.
        task: holds the net, whose backbone says what input it is made for.
        size: height and width of the images.
    """
    chosen = ("model=", "experiment=", "resume=")
    if any(word.lstrip("+").startswith(chosen) for word in composed.overrides):
        return ""
    backbone: Any = task.net.backbone
    own = backbone.pretrained_cfg.get("input_size")
    if own is None or math.prod(size) <= FACTOR**2 * math.prod(own[1:]):
        return ""
    made_for, given = (" x ".join(map(str, sides)) for sides in (own[1:], size))
    return (
        f"{composed.choices['model']} is the default, made for images of {made_for}; these are "
        f"{given}: choose a net with model=NAME, such as resnet18"
    )

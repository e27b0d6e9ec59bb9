"""What all sets of images with masks share."""

from collections.abc import Callable
from typing import Any, ClassVar

from cnnlab.data.module import DataModule


class MaskModule(DataModule):
    """Base: one class a pixel. Images are one stratum: a mask's classes are known once read."""

    only: ClassVar[dict[str, Any]] = {
        "sampler": "shuffle",
        "augment.mosaic": 0.0,
        "augment.policy": None,
        "augment.mixup": 0.0,
        "augment.cutmix": 0.0,
        "augment.erasing": 0.0,
    }

    def describe(self, say: Callable[[str], None]) -> None:
        """Sizes of the splits; `check_files` counts the classes, in pixels."""
        say(self._sizes_line())

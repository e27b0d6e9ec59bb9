"""The thresholds of `match_anchors` as one value, which others than the loss can look at."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from cnnlab.boxes.matching import Matches, Truth, match_anchors


@dataclass(frozen=True, kw_only=True)
class Matcher:
    """How a loss matches anchors; it holds this as `matcher`, where `cnnlab check` finds it.

    The fields are those of `match_anchors`.
    """

    foreground: float
    background: float
    forced: Literal["none", "kept", "taken"]

    def __call__(self, anchors: Tensor, truth: Truth, images: int) -> Matches:
        """Of anchors `(A, 4)` and B images: `(B, A)` each."""
        return match_anchors(
            anchors,
            truth,
            images,
            foreground=self.foreground,
            background=self.background,
            forced=self.forced,
        )

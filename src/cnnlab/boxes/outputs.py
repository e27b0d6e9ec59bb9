"""What detection heads give and detection losses take."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Proposing:
    """The node `head.proposals`: which anchors a first stage hands on, in training as in use."""

    candidates: int
    """The best so many of a level and image reach non-maximum suppression."""
    nms_iou: float
    """Of two that overlap more, the better stays."""
    kept: int
    """So many an image at most."""


class AnchorOutputs(NamedTuple):
    """A score a class and a box, for each of A anchors; the same anchors in each of B images."""

    scores: Tensor
    """Logits `(B, A, K)`; `(B, A, 1 + K)` with `background`."""
    deltas: Tensor
    """`(B, A, 4)`: the box, encoded against the anchor."""
    anchors: Tensor
    """float32 `(A, 4)`."""
    levels: tuple[int, ...]
    """How many of the anchors are of each map, the finest first."""
    size: tuple[int, int]
    """Height and width of the images, padding included, in pixels."""
    background: bool = False
    """Whether the scores are of a softmax whose first class is 'none'; else of K sigmoids."""
    second: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None
    """Of a two-stage net, whose anchors propose only: proposals `(P, 4)` of images `(P,)` to
    logits `(P, 1 + K)`, the first of which is 'none', and deltas `(P, 4)` against the proposals or
    `(P, K, 4)`, one a class."""
    proposing: Proposing | None = None
    """Of a two-stage net: how its anchors become proposals."""

"""The anchors of a net held against the boxes of a set, and the ones that would fit it."""

from dataclasses import dataclass

from torch import Tensor

from cnnlab.anchor_doctor.grids import Grids
from cnnlab.anchor_doctor.matched import Matched, match
from cnnlab.anchor_doctor.seen import Seen, look_at_training, look_at_val
from cnnlab.boxes.anchor_fit import fit_anchors
from cnnlab.boxes.coverage import Coverage, Level
from cnnlab.boxes.matcher import Matcher
from cnnlab.data.module import DataModule
from cnnlab.errors import UserError
from cnnlab.tasks.base import Task

ENOUGH = 0.5
"""IoU of a box and its best anchor from which the box counts as recalled."""
WORTH = 0.01
"""Gain in recall or mean IoU on val below which other anchors are not suggested."""


@dataclass(frozen=True)
class Covered:
    """How anchors cover the boxes of both splits."""

    train: Coverage
    val: Coverage


@dataclass(frozen=True)
class Diagnosis:
    """What `diagnose` found."""

    train: Seen
    val: Seen
    levels: list[Level]
    """The net's, at the size of the first training batch."""
    now: Covered
    shapes: list[Tensor]
    """The fitted ones, of each level `(n, 2)`."""
    fitted: Covered
    matcher: Matcher | None
    """The loss's, where it has one."""
    matched: Matched | None

    @property
    def is_worth_it(self) -> bool:
        """Whether the fitted anchors cover the boxes of val (without any: of train) better."""
        which = "val" if len(self.val.xyxy) else "train"
        now, fitted = getattr(self.now, which), getattr(self.fitted, which)
        more = recall(fitted) - recall(now)
        closer = float(fitted.iou.mean() - now.iou.mean())
        return more >= 0 and max(more, closer) >= WORTH


def recall(found: Coverage) -> float:
    """Share of the boxes that some anchor overlaps by `ENOUGH`; NaN of no boxes."""
    return float((found.iou >= ENOUGH).float().mean())


def diagnose(data: DataModule, task: Task, seed: int) -> Diagnosis:
    """Fit anchors to the training boxes, and measure them and the net's own on both splits.

    Raises:
        UserError: no boxes.
    """
    grids = Grids(task.net, data.channels)
    train = look_at_training(data)
    if not len(train.xyxy):
        raise UserError(f"no box in {len(train.id):,} training images: there is nothing to detect")
    val = look_at_val(data)
    levels = grids.levels(train.sizes[0])
    own = [level.shapes for level in levels]
    shapes = fit_anchors(train.sides, grids.deal(train), own, seed)
    now = Covered(grids.cover(train), grids.cover(val))
    matcher = getattr(task.loss, "matcher", None)
    return Diagnosis(
        train=train,
        val=val,
        levels=levels,
        now=now,
        shapes=shapes,
        fitted=Covered(grids.cover(train, shapes), grids.cover(val, shapes)),
        matcher=matcher,
        matched=None if matcher is None else match(train, now.train, grids, matcher),
    )


def words(shapes: list[Tensor]) -> str:
    """The config word that makes these the anchors, without a space."""
    levels = [
        ",".join(f"[{width:g},{height:g}]" for width, height in level.tolist()) for level in shapes
    ]
    return f"head.anchors.sizes=[{','.join(f'[{level}]' for level in levels)}]"

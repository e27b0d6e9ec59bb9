"""A diagnosis in words: one table, what cannot be reached, and what would be better."""

import math
from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

from cnnlab.anchor_doctor.diagnosis import ENOUGH, Diagnosis, recall, words
from cnnlab.anchor_doctor.seen import Seen
from cnnlab.boxes.coverage import Coverage, Level
from cnnlab.boxes.geometry import area
from cnnlab.data.names import Names

_MOST_GROUPS = 6  # scales, or ratios, up to which each has a line, then each power of 2
_SIDES = (16, 32, 64, 128)  # where the ranges of box sides meet, in pixels; the figure has more
_NAME = 40  # characters


def lines(found: Diagnosis, names: Names | None = None) -> Iterator[str]:
    """The report, line by line.

    Args:
        found: by `diagnose`.
        names: of the training images, by which one is told; without them by its number.
    """
    shapes = sum(len(level.shapes) for level in found.levels)
    yield (
        f"{len(found.train.xyxy):,} boxes of {len(found.train.id):,} training images, as training "
        f"sees them ({_sizes(found.train)}); {shapes} anchor shapes"
    )
    what = f"by best anchor; recall: IoU {ENOUGH} or more"
    yield f"{what:<{_NAME}}{'boxes':>9}{'share':>8}{'recall':>8}{'mean IoU':>10}"
    every = torch.ones_like(found.now.train.iou, dtype=torch.bool)
    for name, which in [("all", every), *_groups(found)]:
        yield _row(name, which, found.now.train)
    yield from _out_of_reach(found, names)
    yield _positives(found)
    yield f"{'fitted by k-means; recall, mean IoU':<{_NAME}}{'training':>17}{'val':>18}"
    for name, covered in (("these anchors", found.now), ("fitted anchors", found.fitted)):
        yield f"{name:<{_NAME}}{_pair(covered.train):>17}{_pair(covered.val):>18}"
    if found.is_worth_it:
        yield f"to take the fitted: '{words(found.shapes)}'"
    else:
        yield "the fitted ones are no better: keep these"


def by_side(boxes: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Ranges of the side, the root of the area, that have boxes: name, which of `(N, 4)`."""
    side = area(boxes).sqrt()
    for low, high in pairwise((0.0, *_SIDES, math.inf)):
        which = (side >= low) & (side < high)
        name = f"under {high:g}" if not low else f"{low:g} and more" if high == math.inf else ""
        if which.any():
            yield f"box side {name or f'{low:g} to {high:g}'} px", which


def _groups(found: Diagnosis) -> Iterator[tuple[str, Tensor]]:
    """Names, and which boxes."""
    now, levels = found.now.train, found.levels
    for i, level in enumerate(levels):
        yield f"stride {_stride(level)}, anchors {_range(level)} px", now.level == i
    least = [level.shapes.prod(1).min() for level in levels]
    scales = [(s.shapes.prod(1) / a).sqrt() for s, a in zip(levels, least, strict=True)]
    ratios = [level.shapes[:, 1] / level.shapes[:, 0] for level in levels]
    for what, values in (("scale", scales), ("ratio h/w", ratios)):
        rounded = [(value * 100).round() for value in values]
        different = torch.cat(rounded).unique()
        if len(different) > _MOST_GROUPS:  # fitted ones are all different
            rounded = [100 * 2 ** value.log2().round() for value in values]
            different, what = torch.cat(rounded).unique(), f"{what} about"
        if len(different) == 1:
            continue
        of_box = torch.zeros_like(now.iou)
        for i, own in enumerate(rounded):
            here = now.level == i
            of_box[here] = own[now.shape[here]]
        for value in different.tolist():
            yield f"{what} {value / 100:g}", of_box == value
    yield from by_side(found.train.xyxy)


def _row(name: str, which: Tensor, now: Coverage) -> str:
    count = int(which.sum())
    figures = f"{'-':>8}{'-':>10}"
    if count:
        iou = now.iou[which]
        figures = f"{float((iou >= ENOUGH).float().mean()):8.1%}{float(iou.mean()):10.2f}"
    return f"{name:<{_NAME}}{count:>9,}{count / len(which):8.1%}{figures}"


def _out_of_reach(found: Diagnosis, names: Names | None) -> Iterator[str]:
    """Boxes so small or large that they cannot have an IoU of `ENOUGH`, wherever they lie.

    An IoU is at most the ratio of the areas.
    """
    areas, seen = area(found.train.xyxy), found.train
    sizes = [level.shapes.prod(1) for level in found.levels]
    least, most = min(s.min() for s in sizes), max(s.max() for s in sizes)
    small, large = areas < ENOUGH * least, areas > most / ENOUGH
    for which, what, side, pick in (
        (small, "small", f"under {(ENOUGH * least).sqrt():.3g}", areas.argmin()),
        (large, "large", f"above {(most / ENOUGH).sqrt():.4g}", areas.argmax()),
    ):
        if which.any():
            width, height = seen.sides[pick].tolist()
            id = int(seen.id[seen.image[pick]])
            yield (
                f"{int(which.sum()):,} boxes are too {what} for any anchor (side {side} px), such "
                f"as {width:.4g} x {height:.4g} in {names[id] if names else f'training image {id}'}"
            )


def _positives(found: Diagnosis) -> str:
    matched, matcher = found.matched, found.matcher
    if matched is None or matcher is None:
        return "positives an image: not known, since the loss has no `matcher`"
    if not len(matched.reached):
        return f"positives: no box in the {len(matched.positives):,} images that were matched"
    none = float((matched.positives == 0).float().mean())
    without = ~(matched.reached | matched.forced)
    reached, forced, left = (
        f"{float(which.float().mean()):.1%}" for which in (matched.reached, matched.forced, without)
    )
    return (
        f"positives: {float(matched.positives.float().mean()):.1f} an image, none in {none:.1%} of "
        f"{len(matched.positives):,}; {reached} of the boxes have some by IoU "
        f"{matcher.foreground:g}, {forced} by force only, {left} none"
    )


def _pair(found: Coverage) -> str:
    if not len(found.iou):
        return "no boxes"
    return f"{recall(found):.1%}{float(found.iou.mean()):7.2f}"


def _sizes(seen: Seen) -> str:
    height, width = seen.sizes[0]
    others = len(seen.sizes) - 1
    return f"{height} x {width} px" + (f" and {others} other sizes" if others else "")


def _stride(level: Level) -> str:
    x, y = (f"{step:.3g}" for step in level.step)
    return x if x == y else f"{y}x{x}"


def _range(level: Level) -> str:
    sides = level.shapes.prod(1).sqrt()
    least, most = f"{sides.min():.3g}", f"{sides.max():.3g}"
    return least if least == most else f"{least}-{most}"

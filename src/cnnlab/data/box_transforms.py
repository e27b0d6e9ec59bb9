"""What training and evaluation do to an image and its boxes together."""

import math
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as tv

from cnnlab.data.augment import Augment
from cnnlab.data.batch import Boxes, filling
from cnnlab.data.box_files import Seen
from cnnlab.seeding import mix, torch_seeded

VISIBLE = 0.1
"""Least share of a box's area that a window must show of it to keep it, as in YOLOv5
(github.com/ultralytics/yolov5, `box_candidates`)."""
LEAST_SIDE = 1.0
"""Pixels of the window that both sides of a kept box have at least, the default of torchvision's
`SanitizeBoundingBoxes`."""

_TRIES = 10  # places for a window before one is made around a box
_CENTRE = (0.25, 0.75)  # of a mosaic, in shares of its sides
_MOSAIC = 1  # keeps its stream of randomness apart


class _Part(NamedTuple):
    """What one image gives to a window."""

    image: Tensor
    """uint8 `(3, H, W)`."""
    boxes: Boxes
    factors: tuple[float, float]
    """By which a length in it becomes one of the original, in y and x."""


class BoxTrainTransform:
    """Large-scale jitter, crop, flip, mosaic, colour jitter, to images of one size.

    The image is scaled so that it fits into `size`, times a factor whose logarithm is uniform in
    that of `augment.scale_jitter` (Ghiasi et al. 2021, arXiv:2012.07177), and a window of `size`
    is cut from it, padded right and below where it is smaller. Of `_TRIES` windows the first that
    shows a box is taken; where none does, one around a box that is drawn from those that a window
    can show. Crowds are no boxes here. A box stays that `windowed` keeps.

    With probability `augment.mosaic` four images share the window (Bochkovskiy et al. 2020,
    arXiv:2004.10934): it is parted at a random point of its middle half, and each part is a window
    of an image of its own, scaled as if it had the whole.

    Randomness is a function of (seed, epoch, id). Only what the window shows is resized.

    Args:
        size: height and width of the result in pixels; None: of each image its own.
        augment: scale_jitter, flip, mosaic and color_jitter of it.
        mean: of each channel, in 0..1; what pads.
        seed: of the run's data.
    """

    def __init__(
        self, size: tuple[int, int] | None, augment: Augment, mean: list[float], seed: int
    ) -> None:
        self.size, self.augment, self.seed = size, augment, seed
        self.fill = filling(mean)
        jitter = augment.color_jitter
        self.colors = v2.ColorJitter(jitter, jitter, jitter) if jitter else None

    def partners(self, epoch: int, id: int, total: int) -> list[int]:
        """Three for a mosaic, else none."""
        draw = Random(mix(self.seed, epoch, id, _MOSAIC))
        if draw.random() >= self.augment.mosaic:
            return []
        return [int(draw.random() * total) for _ in range(3)]

    def __call__(
        self, seen: Seen, others: Sequence[Seen | None], epoch: int, id: int
    ) -> tuple[Tensor, Boxes, Tensor]:
        draw = Random(mix(self.seed, epoch, id))
        height, width = self.size or seen.pixels.shape[:2]
        if others:
            image, boxes, factors = self._mosaic([seen, *others], (height, width), draw)
            valid = (height, width)
        else:
            part = self._window(seen, (height, width), (height, width), draw)
            valid = part.image.shape[1], part.image.shape[2]
            image, boxes, factors = part
        if self.colors is not None:
            with torch_seeded(self.seed, epoch, id):
                image = self.colors(image)
        image = padded(image, (height, width), self.fill)
        return image, boxes, torch.tensor([*valid, *factors], dtype=torch.float32)

    def _window(
        self, seen: Seen, whole: tuple[int, int], wanted: tuple[int, int], draw: Random
    ) -> _Part:
        """A window of at most `wanted` of the image, scaled as if it were of `whole`."""
        shape = seen.pixels.shape[:2]
        low, high = map(math.log, self.augment.scale_jitter)
        factor = fitting(shape, whole) * math.exp(low + (high - low) * draw.random())
        height, width = (
            max(1, min(side, round(of_window / factor)))
            for side, of_window in zip(shape, wanted, strict=True)
        )
        # Of the whole image and not of the part: that, rounded twice, may not fill the window.
        size = [
            max(1, min(of_window, round(side * factor)))
            for side, of_window in zip(shape, wanted, strict=True)
        ]
        objects = seen.boxes.take(~seen.boxes.crowd).xyxy
        for _ in range(_TRIES if len(objects) else 1):
            top = int(draw.random() * (shape[0] - height + 1))
            left = int(draw.random() * (shape[1] - width + 1))
            boxes = windowed(seen.boxes, shape, (top, left, height, width), size)
            if not boxes.crowd.all():
                break
        else:
            around = _around(objects, shape, (height, width), size, draw)
            top, left = around or (top, left)
            boxes = windowed(seen.boxes, shape, (top, left, height, width), size)
        pixels = seen.pixels[top : top + height, left : left + width]
        # (3, H, W) over pixels that lie as (H, W, 3): torch resizes that directly.
        image = torch.from_numpy(pixels).permute(2, 0, 1)
        if size != [height, width]:
            image = tv.resize(image, size, antialias=True)
        if self.augment.flip and draw.random() < 0.5:
            image, boxes = tv.hflip(image), boxes.mirrored(size[1], 0)
        if self.augment.vertical_flip and draw.random() < 0.5:
            image, boxes = tv.vflip(image), boxes.mirrored(size[0], 1)
        return _Part(image, boxes, (height / size[0], width / size[1]))

    def _mosaic(
        self, four: Sequence[Seen | None], size: tuple[int, int], draw: Random
    ) -> tuple[Tensor, Boxes, tuple[float, float]]:
        """Image, boxes, and the factors of the first of `four`."""
        low, high = _CENTRE
        y, x = (min(side - 1, max(1, round(side * draw.uniform(low, high)))) for side in size)
        corners = (0, 0, y, x), (0, x, y, size[1]), (y, 0, size[0], x), (y, x, *size)
        image = torch.tensor(self.fill, dtype=torch.uint8)[:, None, None].repeat(1, *size)
        found, factors = [], (1.0, 1.0)
        for number, (seen, corner) in enumerate(zip(four, corners, strict=True)):
            if seen is None:
                continue
            top, left, bottom, right = corner
            part = self._window(seen, size, (bottom - top, right - left), draw)
            _, height, width = part.image.shape
            image[:, top : top + height, left : left + width] = part.image
            shift = part.boxes.xyxy.new_tensor([left, top, left, top])
            found.append(part.boxes._replace(xyxy=part.boxes.xyxy + shift))
            if number == 0:
                factors = part.factors
        boxes = Boxes.joined(found)
        return image, boxes._replace(image=torch.zeros_like(boxes.image)), factors


class BoxEvalTransform:
    """The image scaled so that it fits into `size`, its shape kept, padded right and below.

    Images of one size are a batch whose figures do not depend on which images share it.

    Args:
        size: height and width in pixels; None: the image as it is.
        mean: of each channel, in 0..1; what pads.
    """

    def __init__(self, size: tuple[int, int] | None, mean: list[float]) -> None:
        self.size, self.fill = size, filling(mean)

    def partners(self, epoch: int, id: int, total: int) -> list[int]:
        """None."""
        return []

    def __call__(
        self, seen: Seen, others: Sequence[Seen | None], epoch: int, id: int
    ) -> tuple[Tensor, Boxes, Tensor]:
        image = torch.from_numpy(seen.pixels).permute(2, 0, 1)
        height, width = shape = seen.pixels.shape[:2]
        wanted = self.size or shape
        factor = fitting(shape, wanted)
        size = [max(1, round(factor * side)) for side in shape]
        boxes = seen.boxes
        if size != [height, width]:
            image = tv.resize(image, size, antialias=True)
            boxes = boxes._replace(xyxy=tv.resize(_boxes(boxes, shape), size).as_subclass(Tensor))
        frame = torch.tensor([*size, height / size[0], width / size[1]], dtype=torch.float32)
        return padded(image, wanted, self.fill), boxes, frame


def windowed(
    boxes: Boxes,
    shape: tuple[int, int],
    window: tuple[int, int, int, int],
    size: Sequence[int],
) -> Boxes:
    """What a window shows of `boxes`: those of which it shows enough, cut off at its edge.

    Enough are `VISIBLE` of the area and `LEAST_SIDE`. Of a crowd the latter: what little can be
    seen of it is as little background as the rest.

    Args:
        boxes: of an image.
        shape: its height and width in pixels.
        window: top, left, height and width in it.
        size: height and width to which the window is resized.
    """
    whole = tv.resize(tv.crop(_boxes(boxes, shape), *window), list(size))
    shown = tv.clamp_bounding_boxes(whole, clamping_mode="soft").as_subclass(Tensor)
    sides, before = (xyxy[:, 2:] - xyxy[:, :2] for xyxy in (shown, whole.as_subclass(Tensor)))
    enough = boxes.crowd | (sides.prod(1) >= VISIBLE * before.prod(1))
    return boxes._replace(xyxy=shown).take(enough & (sides >= LEAST_SIDE).all(1))


def _around(
    objects: Tensor,
    shape: tuple[int, int],
    window: tuple[int, int],
    size: Sequence[int],
    draw: Random,
) -> tuple[int, int] | None:
    """Top and left of a window that shows all it can of one of `objects`, drawn.

    A box that fits into the window lies whole in it, and a window that is smaller whole in the box.

    Args:
        objects: xyxy `(N, 4)` in pixels of the image.
        shape: its height and width.
        window: height and width in it.
        size: height and width to which the window is resized.
        draw: decides which box and where.

    Returns:
        None where each box is too large or too small to stay, wherever the window lies.
    """
    sides = (objects[:, 2:] - objects[:, :2]).flip(1)  # height and width
    extent, resized = sides.new_tensor([window, size])
    seen = sides.minimum(extent)
    stays = (seen * resized / extent >= LEAST_SIDE).all(1)
    stays &= seen.prod(1) >= VISIBLE * sides.prod(1)
    usable = objects[stays].tolist()
    if not usable:
        return None
    x1, y1, x2, y2 = usable[int(draw.random() * len(usable))]
    corner = []
    for begin, end, side, whole in zip((y1, x1), (y2, x2), window, shape, strict=True):
        low, high = sorted((math.ceil(end) - side, math.floor(begin)))
        low, high = max(low, 0), min(high, whole - side)
        corner.append(low + int(draw.random() * (high - low + 1)))
    return corner[0], corner[1]


def fitting(shape: tuple[int, int], wanted: tuple[int, int]) -> float:
    """The factor by which an image of `shape` just fits into `wanted`, height and width each."""
    return min(side / has for side, has in zip(wanted, shape, strict=True))


def padded(image: Tensor, size: tuple[int, int], fill: list[int]) -> Tensor:
    """To height and width `size`, right and below."""
    missing = [0, 0, size[1] - image.shape[2], size[0] - image.shape[1]]
    return tv.pad(image, missing, fill) if any(missing) else image


def _boxes(boxes: Boxes, shape: tuple[int, int]) -> tv_tensors.BoundingBoxes:
    """For torchvision, which must not cut them off before it is known by how much."""
    return tv_tensors.BoundingBoxes(
        boxes.xyxy, format="XYXY", canvas_size=shape, clamping_mode=None
    )

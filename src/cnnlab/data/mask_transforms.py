"""What training and evaluation do to an image and its mask together."""

import math
from random import Random

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional as tv

from cnnlab.data.augment import Augment
from cnnlab.data.batch import filling
from cnnlab.pixels import IGNORE
from cnnlab.seeding import mix, torch_seeded


class MaskTrainTransform:
    """Large-scale jitter, crop, flip, colour jitter, to images of one size.

    The image is enlarged by a factor whose logarithm is uniform in that of `augment.scale_jitter`
    (after Ghiasi et al. 2021, arXiv:2012.07177, who scale to a factor of the window), and a window
    of `size` is cut from it, padded right and below where it is smaller. With probability
    `augment.class_crops` the window lies around a pixel of a class that is drawn from those the
    image has, each alike: what is rare is then seen as often as what is common.

    Randomness is a function of (seed, epoch, id). Only what the window shows is resized.

    Args:
        size: height and width of the result, in pixels.
        augment: scale_jitter, class_crops, flip and color_jitter of it.
        mean: of each channel, in 0..1; what pads.
        seed: of the run's data.
    """

    def __init__(
        self, size: tuple[int, int], augment: Augment, mean: list[float], seed: int
    ) -> None:
        self.size, self.augment, self.seed = size, augment, seed
        self.fill = filling(mean)
        jitter = augment.color_jitter
        self.colors = v2.ColorJitter(jitter, jitter, jitter) if jitter else None

    def __call__(
        self, pixels: np.ndarray, mask: np.ndarray, epoch: int, id: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        draw = Random(mix(self.seed, epoch, id))
        low, high = map(math.log, self.augment.scale_jitter)
        factor = math.exp(low + (high - low) * draw.random())
        height, width = (
            max(1, min(side, round(wanted / factor)))
            for side, wanted in zip(mask.shape, self.size, strict=True)
        )
        top, left = self._corner(mask, height, width, draw)
        # Of the whole image and not of the part: that, rounded twice, may not fill the window.
        size = [
            max(1, min(wanted, round(side * factor)))
            for side, wanted in zip(mask.shape, self.size, strict=True)
        ]
        window = slice(top, top + height), slice(left, left + width)
        # (3, H, W) over pixels that lie as (H, W, 3): torch resizes that directly.
        image = torch.from_numpy(pixels[window]).permute(2, 0, 1)
        target = torch.from_numpy(mask[window])[None]
        if size != [height, width]:
            image = tv.resize(image, size, antialias=True)
            # Not v2's own way with masks, which lies half a pixel beside the image's.
            target = tv.resize(target, size, InterpolationMode.NEAREST_EXACT)
        if self.augment.flip and draw.random() < 0.5:
            image, target = tv.hflip(image), tv.hflip(target)
        if self.augment.vertical_flip and draw.random() < 0.5:
            image, target = tv.vflip(image), tv.vflip(target)
        if self.colors is not None:
            with torch_seeded(self.seed, epoch, id):
                image = self.colors(image)
        # left, top, right, bottom
        missing = [0, 0, self.size[1] - size[1], self.size[0] - size[0]]
        if any(missing):
            image = tv.pad(image, missing, self.fill)
            target = tv.pad(target, missing, [IGNORE])
        frame = torch.tensor([size[0], size[1], height / size[0], width / size[1]])
        return image, target[0], frame

    def _corner(self, mask: np.ndarray, height: int, width: int, draw: Random) -> tuple[int, int]:
        """Top and left of the window."""
        rows, columns = mask.shape[0] - height, mask.shape[1] - width
        y, x = draw.random(), draw.random()
        if draw.random() >= self.augment.class_crops:
            return int(y * (rows + 1)), int(x * (columns + 1))
        present = np.flatnonzero(np.bincount(mask.ravel(), minlength=IGNORE)[:IGNORE])
        if not len(present):
            return int(y * (rows + 1)), int(x * (columns + 1))
        label = present[int(draw.random() * len(present))]
        of_class = np.flatnonzero(mask == label)
        row, column = divmod(int(of_class[int(draw.random() * len(of_class))]), mask.shape[1])
        top, left = row - int(y * height), column - int(x * width)
        return min(max(top, 0), rows), min(max(left, 0), columns)


class MaskEvalTransform:
    """The image as it is, or with its shorter side brought to `side`; the mask as it is.

    Args:
        side: in pixels, or None.
    """

    def __init__(self, side: int | None) -> None:
        self.side = side

    def __call__(
        self, pixels: np.ndarray, mask: np.ndarray, epoch: int, id: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        image = torch.from_numpy(pixels).permute(2, 0, 1)
        height, width = mask.shape
        if self.side is not None:
            factor = self.side / min(height, width)
            size = [max(1, round(factor * side)) for side in (height, width)]
            image = tv.resize(image, size, antialias=True)
        h, w = image.shape[-2:]
        frame = torch.tensor([h, w, height / h, width / w])
        return image, torch.from_numpy(mask), frame

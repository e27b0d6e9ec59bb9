"""From a picture to the image of fixed size that training or evaluation sees."""

import math
from collections.abc import Sequence
from random import Random
from typing import Literal, Protocol

import numpy as np
import timm.data
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms import v2

from cnnlab.data.augment import Augment
from cnnlab.data.decode import SCALES, Picture
from cnnlab.data.policy import policy
from cnnlab.seeding import mix, torch_seeded

Interpolation = Literal["bilinear", "bicubic"]


class SampleTransform(Protocol):
    """What a source of files does to each picture."""

    def __call__(self, picture: Picture, epoch: int, id: int) -> tuple[Tensor, Tensor]:
        """The image, uint8 `(3, size, size)`, and its frame, as in `Batch.frames`."""


class TrainTransform:
    """Random-resized crop (Szegedy et al. 2015, arXiv:1409.4842, section 6), flip, policy, jitter.

    Randomness is a function of (seed, epoch, id). Images lie in memory as (H, W, 3), which is how
    they are decoded; so resize and flip take half the time.

    Args:
        size: of the square image, in pixels.
        interpolation: of the resize, which is antialiased.
        augment: scale, ratio, flip, policy, magnitude and color_jitter of it.
        seed: of the run's data.
    """

    def __init__(
        self, size: int, interpolation: Interpolation, augment: Augment, seed: int
    ) -> None:
        self.size, self.interpolation, self.augment, self.seed = size, interpolation, augment, seed
        steps: list[nn.Module] = []
        if augment.policy is not None:
            steps.append(policy(augment.policy, augment.magnitude, small=False))
        if jitter := augment.color_jitter:
            steps.append(v2.ColorJitter(jitter, jitter, jitter))
        self.on_crop = nn.Sequential(*steps) if steps else None

    def __call__(self, picture: Picture, epoch: int, id: int) -> tuple[Tensor, Tensor]:
        draw = Random(mix(self.seed, epoch, id))
        top, left, height, width = random_box(
            picture.height, picture.width, self.augment.scale, self.augment.ratio, draw
        )
        # Detail that the resize would take away again need not be decoded.
        scale = next((s for s in SCALES if min(height, width) >= s * self.size), 1)
        pixels = picture.pixels(scale)
        y, x = pixels.shape[0] / picture.height, pixels.shape[1] / picture.width
        rows = slice(round(top * y), round((top + height) * y))
        columns = slice(round(left * x), round((left + width) * x))
        # (1, 3, H, W) over pixels that lie as (H, W, 3): torch resizes that directly.
        crop = torch.from_numpy(pixels[rows, columns])[None].permute(0, 3, 1, 2)
        size = (self.size, self.size)
        image = F.interpolate(crop, size, mode=self.interpolation, antialias=True)[0]
        if self.augment.flip and draw.random() < 0.5:
            image = image.flip(-1)
        if self.augment.vertical_flip and draw.random() < 0.5:
            image = image.flip(-2)
        if self.on_crop is not None:
            with torch_seeded(self.seed, epoch, id):
                image = self.on_crop(image)
        return image, _frame(self.size, height / self.size, width / self.size)


class EvalTransform:
    """timm's own evaluation transform, on the processor's side of the normalisation.

    With `crop_mode` center: the shorter side becomes floor(size / crop_pct), by Pillow, and the
    centre is cropped.

    Args:
        size: of the square image, in pixels.
        crop_pct: share of the resized image's side that the crop has.
        interpolation: of the resize.
        crop_mode: timm's word: center, squash (to a square) or border (all of it, padded).
        mean: of each channel, in 0..1; what pads.
    """

    def __init__(
        self,
        size: int,
        crop_pct: float,
        interpolation: Interpolation,
        crop_mode: str,
        mean: list[float],
    ) -> None:
        self.size, self.crop_mode = size, crop_mode
        self.resized = math.floor(size / crop_pct)
        self.transform = timm.data.create_transform(
            size,
            is_training=False,
            use_prefetcher=True,  # uint8: mean and std are applied on the device
            interpolation=interpolation,
            crop_pct=crop_pct,
            crop_mode=crop_mode,
            mean=tuple(mean),
        )

    def __call__(self, picture: Picture, epoch: int, id: int) -> tuple[Tensor, Tensor]:
        image = torch.as_tensor(self.transform(Image.fromarray(picture.pixels())))
        height, width = picture.height, picture.width
        if self.crop_mode != "squash":
            height = width = (max if self.crop_mode == "border" else min)(height, width)
        return image, _frame(self.size, height / self.resized, width / self.resized)


def _frame(size: int, y: float, x: float) -> Tensor:
    # Not torch.tensor, which takes 20 us here (2 % of a sample) to look at each number.
    return torch.from_numpy(np.array((size, size, y, x), np.float32))


def random_box(
    height: int, width: int, scale: Sequence[float], ratio: Sequence[float], draw: Random
) -> tuple[int, int, int, int]:
    """Top, left, height and width of a crop, as torchvision and timm draw it.

    Area uniform in `scale` of the image's, logarithm of width / height uniform in that of `ratio`;
    after ten crops that do not fit, the largest in the middle whose ratio is allowed.
    """
    low, high = math.log(ratio[0]), math.log(ratio[1])
    for _ in range(10):
        area = height * width * (scale[0] + (scale[1] - scale[0]) * draw.random())
        aspect = math.exp(low + (high - low) * draw.random())
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            top = int(draw.random() * (height - h + 1))
            return top, int(draw.random() * (width - w + 1)), h, w
    h, w = height, width
    if width < ratio[0] * height:
        h = max(1, round(width / ratio[0]))
    elif width > ratio[1] * height:
        w = max(1, round(height * ratio[1]))
    return (height - h) // 2, (width - w) // 2, h, w

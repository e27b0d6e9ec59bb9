"""The original U-Net (Ronneberger et al. 2015, arXiv:1505.04597, Fig. 1; deck 2)."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cnnlab.errors import UserError
from cnnlab.heads.crop import cropped
from cnnlab.heads.segmentation import SegmentationHead


class UNetValid(SegmentationHead):
    """Up-convolutions, centre crops and valid convolutions; scores for every pixel of the image.

    Each level takes a border, so `decode` scores the centre alone: of 572 pixels 388. `forward`
    extends the image by mirroring, as the paper's overlap-tile strategy does at the border of the
    whole image, so that the centre is the image: an image of 388 is extended to 572. There is no
    way to train without: masks have the image's size.

    Weights begin at N(0, 2 / inputs of a neuron), biases at 0 (section 3).

    Args:
        backbone: makes `unet_valid`.
        num_classes: K.
        in_chans: image channels.

    Raises:
        UserError: a backbone with other than two valid 3x3 convolutions a level.
    """

    def __init__(self, backbone: Callable[..., nn.Module], num_classes: int, in_chans: int) -> None:
        super().__init__(backbone, num_classes, in_chans)
        levels = len(self.channels)
        convolutions = [m for m in self.backbone.modules() if isinstance(m, nn.Conv2d)]
        valid = [c for c in convolutions if (c.kernel_size, c.padding) == ((3, 3), (0, 0))]
        doubling = self.reductions == [2**level for level in range(levels)]
        if not doubling or len(valid) != 2 * levels or len(valid) != len(convolutions):
            raise UserError(
                "head=unet_valid: needs two 3x3 convolutions a level, none of them padded, and "
                f"strides {', '.join(str(2**level) for level in range(levels))}, as "
                "model=unet_valid has; head=unet takes any net"
            )
        self.ups, self.blocks = nn.ModuleList(), nn.ModuleList()
        below = self.channels[-1]
        for chans in reversed(self.channels[:-1]):
            self.ups.append(nn.ConvTranspose2d(below, chans, 2, 2))
            self.blocks.append(
                nn.Sequential(
                    nn.Conv2d(2 * chans, chans, 3),
                    nn.ReLU(inplace=True),
                    nn.Conv2d(chans, chans, 3),
                    nn.ReLU(inplace=True),
                )
            )
            below = chans
        self.score = nn.Conv2d(below, num_classes, 1)
        for part in (self.ups, self.blocks, self.score):
            part.apply(_init)

    def get_classifier(self) -> tuple[nn.Module, ...]:
        return (self.score,)

    def decode(self, maps: list[Tensor]) -> Tensor:
        x = maps[-1]
        for up, block, finer in zip(self.ups, self.blocks, reversed(maps[:-1]), strict=True):
            x = up(x)
            top, left = ((a - b) // 2 for a, b in zip(finer.shape[-2:], x.shape[-2:], strict=True))
            x = block(torch.cat((cropped(finer, top, left, x), x), 1))
        logits: Tensor = self.score(x)
        return logits

    def forward(self, images: Tensor) -> Tensor:
        margins = [_margins(side, len(self.channels)) for side in images.shape[-2:]]
        logits = self.decode(self.maps(mirrored(images, margins[0], margins[1])))
        return cropped(logits, 0, 0, images)


def _margins(side: int, levels: int) -> tuple[int, int]:
    """Pixels to add before and after `side`, so that the net's output begins where the image does.

    The output may be larger: every map must have an even side before it is pooled.
    """
    bottom = side
    for _ in range(levels - 1):  # up the expansive path: what a level must give, it gets from below
        bottom = -(-(bottom + 4) // 2)
    output, tile = bottom, bottom + 4
    for _ in range(levels - 1):
        output, tile = 2 * output - 4, 2 * tile + 4
    before = (tile - output) // 2
    return before, tile - side - before


def mirrored(images: Tensor, rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
    """Images `(B, C, H, W)` with so many rows and columns more, before and after.

    Mirrored at the centre of the border pixels (which are not repeated), and again where the image
    is smaller than the margin.
    """
    for dim, (before, after) in ((-2, rows), (-1, columns)):
        reach = images.shape[dim] - 1
        # The single pixel of a side of 1 has no other to mirror.
        mode = "reflect" if reach else "replicate"
        while before or after:
            step = (min(before, reach), min(after, reach)) if reach else (before, after)
            images = F.pad(images, (0, 0, *step) if dim == -2 else (*step, 0, 0), mode)
            before, after = before - step[0], after - step[1]
    return images


def _init(module: nn.Module) -> None:
    if isinstance(module, nn.ConvTranspose2d):
        # Where the stride is the kernel's side, a neuron has one input a channel; torch's rule
        # would count the outputs.
        nn.init.normal_(module.weight, std=math.sqrt(2 / module.in_channels))
    elif isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    else:
        return
    # torch types a bias as maybe None.
    nn.init.zeros_(module.bias)  # type: ignore[arg-type]

"""U-Net's decoder over any backbone (Ronneberger et al. 2015, arXiv:1505.04597; deck 2)."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from cnnlab.heads.segmentation import SegmentationHead, resized

Upsampling = Literal["bilinear", "bilinear_conv", "transposed", "pixel_shuffle"]


class UNet(SegmentationHead):
    """From the coarsest map up: enlarge, join the next finer map, two 3x3 convolutions.

    The decoder ends at the backbone's finest map, where the classes are scored; the scores are
    enlarged to the image. Padded convolutions with BatchNorm, so sizes stay; the paper's own, with
    valid ones, is `unet_valid`.

    Args:
        backbone: makes the net, see `SegmentationHead`.
        num_classes: K.
        in_chans: image channels.
        width: channels at stride 1; a level of stride s has s times as many, so they double where
            strides do, as in the paper.
        depth: maps used, from the finest on; None: all that the backbone has.
        skips: whether the finer maps are joined.
        upsampling: `bilinear`, to which the level's convolutions are enough; or a linear layer that
            brings the channels to the level's: `bilinear_conv` (after a 3x3 convolution),
            `transposed` (the paper's 2x2 up-convolution), `pixel_shuffle` (Shi et al. 2016,
            arXiv:1609.05158).
        score_kernel: of the last convolution; 1 in the paper, over 64 channels. Over few channels
            3 learns several times as fast: Adam moves each weight alike, and a score of 16 channels
            has 16 or 144 of them.
    """

    def __init__(
        self,
        backbone: Callable[..., nn.Module],
        num_classes: int,
        in_chans: int,
        *,
        width: int,
        depth: int | None,
        skips: bool,
        upsampling: Upsampling,
        score_kernel: Literal[1, 3],
    ) -> None:
        super().__init__(backbone, num_classes, in_chans, depth)
        self.skips = skips
        self.ups, self.blocks = nn.ModuleList(), nn.ModuleList()
        below = self.channels[-1]
        for level in reversed(range(len(self.channels) - 1)):
            out = width * self.reductions[level]
            factor = max(1, self.reductions[level + 1] // self.reductions[level])
            own = below if upsampling == "bilinear" else out
            self.ups.append(enlarging(below, own, factor, upsampling))
            joined = own + (self.channels[level] if skips else 0)
            self.blocks.append(nn.Sequential(_convolution(joined, out), _convolution(out, out)))
            below = out
        self.score = nn.Conv2d(below, num_classes, score_kernel, padding=score_kernel // 2)

    def get_classifier(self) -> tuple[nn.Module, ...]:
        return (self.score,)

    def decode(self, maps: list[Tensor]) -> Tensor:
        x = maps[-1]
        for up, block, finer in zip(self.ups, self.blocks, reversed(maps[:-1]), strict=True):
            x = resized(up(x), finer)
            x = block(torch.cat((finer, x), 1) if self.skips else x)
        logits: Tensor = self.score(x)
        return logits


def enlarging(in_chans: int, out_chans: int, factor: int, how: Upsampling) -> nn.Module:
    """`(B, in, H, W) -> (B, out, factor * H, factor * W)`; `bilinear` wants in = out."""
    if how == "bilinear":
        return nn.Upsample(scale_factor=factor, mode="bilinear") if factor > 1 else nn.Identity()
    if factor == 1:  # dilated stages
        return nn.Conv2d(in_chans, out_chans, 3, padding=1)
    if how == "transposed":
        return nn.ConvTranspose2d(in_chans, out_chans, factor, factor)
    if how == "bilinear_conv":
        # The other order does factor^2 times the work for nearly the same: both are linear.
        return nn.Sequential(
            nn.Conv2d(in_chans, out_chans, 3, padding=1),
            nn.Upsample(scale_factor=factor, mode="bilinear"),
        )
    return nn.Sequential(
        nn.Conv2d(in_chans, out_chans * factor**2, 3, padding=1), nn.PixelShuffle(factor)
    )


def _convolution(in_chans: int, out_chans: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(in_chans, out_chans, 3, padding=1, bias=False),
        nn.BatchNorm2d(out_chans),
        nn.ReLU(inplace=True),
    )

"""FCN-32s, 16s and 8s over any backbone (Long et al. 2015, arXiv:1411.4038; deck 2)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from cnnlab.errors import UserError
from cnnlab.heads.segmentation import SegmentationHead, resized


class FCN(SegmentationHead):
    """Score the coarsest map; enlarge the scores and add those of the next finer maps.

    With no map fused it is the paper's FCN-32s, with one FCN-16s, with two FCN-8s: the names are
    the strides on a net whose maps have 8, 16 and 32. Here the next finer *maps* are fused,
    whatever their strides. Where both have the same, as in dilated nets, nothing is enlarged
    between them and the scores are only added; the last step to the image is bilinear.

    Scores of finer maps begin at zero, as the paper's do: a net with more maps fused begins as the
    one with fewer. Enlarging is learned and begins bilinear.

    Args:
        backbone: makes the net, see `SegmentationHead`.
        num_classes: K.
        in_chans: image channels.
        fuse: finer maps that are fused with the coarsest.
        width: channels of a 3x3 convolution, BatchNorm and ReLU before the coarsest map is scored,
            torchvision's head of `fcn_resnet50` (there a quarter of the map's); None: without.
        dropout: before the coarsest map is scored.

    Raises:
        UserError: the net has too few maps.
    """

    def __init__(
        self,
        backbone: Callable[..., nn.Module],
        num_classes: int,
        in_chans: int,
        *,
        fuse: int,
        width: int | None,
        dropout: float,
    ) -> None:
        super().__init__(backbone, num_classes, in_chans)
        if not 0 <= fuse < len(self.channels):
            maps = len(self.channels)
            raise UserError(
                f"head.fuse={fuse}: must be 0 to {maps - 1}: the net's maps are {maps}, and one is "
                "the coarsest"
            )
        chans = self.channels[-1]
        self.coarsest = nn.Sequential()
        if width is not None:
            self.coarsest.append(nn.Conv2d(chans, width, 3, padding=1, bias=False))
            self.coarsest.append(nn.BatchNorm2d(width))
            self.coarsest.append(nn.ReLU(inplace=True))
            chans = width
        self.coarsest.append(nn.Dropout(dropout))
        self.coarsest.append(nn.Conv2d(chans, num_classes, 1))
        self.ups, self.finer = nn.ModuleList(), nn.ModuleList()
        for level in reversed(range(len(self.channels) - 1 - fuse, len(self.channels) - 1)):
            factor = self.reductions[level + 1] // self.reductions[level]
            self.ups.append(_enlarging(num_classes, factor))
            self.finer.append(zero_score(self.channels[level], num_classes))

    def get_classifier(self) -> tuple[nn.Module, ...]:
        return (self.coarsest[-1], *self.ups, *self.finer)

    def decode(self, maps: list[Tensor]) -> Tensor:
        *others, coarsest = maps
        scores: Tensor = self.coarsest(coarsest)
        # The finest maps may be left over.
        for up, score, finer in zip(self.ups, self.finer, reversed(others), strict=False):
            scores = resized(up(scores), finer) + score(finer)
        return scores


def zero_score(chans: int, num_classes: int) -> nn.Conv2d:
    """A 1x1 convolution that scores 0 at first (section 4.2). `(B, C, H, W) -> (B, K, H, W)`."""
    score = nn.Conv2d(chans, num_classes, 1)
    for parameter in score.parameters():
        nn.init.zeros_(parameter)
    return score


def _enlarging(chans: int, factor: int) -> nn.Module:
    """`(B, C, H, W) -> (B, C, factor * H, factor * W)`; away from the border bilinear at first."""
    if factor < 2:
        return nn.Identity()
    return bilinear_deconvolution(chans, 2 * factor - factor % 2, factor, padding=factor // 2)


def bilinear_deconvolution(
    chans: int, kernel_size: int, stride: int, padding: int
) -> nn.ConvTranspose2d:
    """A transposed convolution without bias that at first interpolates each channel bilinearly.

    `(B, C, H, W) -> (B, C, H', W')` with H' = stride * (H - 1) + kernel_size - 2 * padding.
    """
    layer = nn.ConvTranspose2d(chans, chans, kernel_size, stride, padding, bias=False)
    tent = 1 - (torch.arange(kernel_size) - (kernel_size - 1) / 2).abs() / ((kernel_size + 1) // 2)
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[range(chans), range(chans)] = tent.outer(tent)
    return layer

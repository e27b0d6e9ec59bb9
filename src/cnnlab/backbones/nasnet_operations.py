"""The operations of NASNet's search space (Zoph et al. 2018, arXiv:1707.07012).

Each makes a module of (input channels, output channels, stride):
(B, C, H, W) -> (B, C', ceil(H / s), ceil(W / s)).
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import Conv2dSame, create_pool2d
from torch import Tensor, nn

Build = Callable[[int, int, int], nn.Module]
"""(channels, channels made, stride) -> module."""


def batch_norm(chans: int) -> nn.BatchNorm2d:
    """With the released code's epsilon. (B, C, H, W) -> (B, C, H, W)."""
    return nn.BatchNorm2d(chans, eps=0.001)


def _same_conv(
    in_chans: int,
    out_chans: int,
    size: tuple[int, int],
    stride: tuple[int, int],
    dilation: int = 1,
    groups: int = 1,
) -> nn.Conv2d:
    """Output ceil(n / stride), padded as TensorFlow does: more to the right and below."""
    if stride == (1, 1):
        padding = (dilation * (size[0] // 2), dilation * (size[1] // 2))
        return nn.Conv2d(in_chans, out_chans, size, 1, padding, dilation, groups=groups, bias=False)
    options: dict[str, Any] = {"dilation": dilation, "groups": groups, "bias": False}
    return Conv2dSame(in_chans, out_chans, size, stride, **options)


def _separable(size: int) -> Build:
    """ReLU, depthwise, 1x1, BN, twice; the first of the two depthwise has the stride."""

    def build(in_chans: int, out_chans: int, stride: int) -> nn.Module:
        layers: list[nn.Module] = []
        for chans, step in ((in_chans, stride), (out_chans, 1)):
            layers += [
                nn.ReLU(),
                _same_conv(chans, chans, (size, size), (step, step), groups=chans),
                nn.Conv2d(chans, out_chans, 1, bias=False),
                batch_norm(out_chans),
            ]
        return nn.Sequential(*layers)

    return build


def relu_conv_bn(*sizes: tuple[int, int], dilation: int = 1) -> Build:
    """ReLU, convolution, BN for each size; a 1x3 has the stride across, the 3x1 after it down."""

    def build(in_chans: int, out_chans: int, stride: int) -> nn.Module:
        layers: list[nn.Module] = []
        chans = in_chans
        for index, size in enumerate(sizes):
            step = (stride, stride) if len(sizes) == 1 else ((1, stride), (stride, 1))[index]
            conv = _same_conv(chans, out_chans, size, step, dilation)
            layers += [nn.ReLU(), conv, batch_norm(out_chans)]
            chans = out_chans
        return nn.Sequential(*layers)

    return build


def _pool(kind: str, size: int) -> Build:
    """A pool whose padding counts for nothing; 1x1, BN if the channels change."""

    def build(in_chans: int, out_chans: int, stride: int) -> nn.Module:
        extra = {"count_include_pad": False} if kind == "avg" else {}
        layer: nn.Module = create_pool2d(kind, size, stride, padding="same", **extra)
        if in_chans == out_chans:
            return layer
        return nn.Sequential(
            layer, nn.Conv2d(in_chans, out_chans, 1, bias=False), batch_norm(out_chans)
        )

    return build


def _identity(in_chans: int, out_chans: int, stride: int) -> nn.Module:
    """Nothing; ReLU, 1x1, BN where channels or size change."""
    if in_chans == out_chans and stride == 1:
        return nn.Identity()
    return relu_conv_bn((1, 1))(in_chans, out_chans, stride)


OPERATIONS: dict[str, Build] = {
    "identity": _identity,
    "conv_1x1": relu_conv_bn((1, 1)),
    "conv_3x3": relu_conv_bn((3, 3)),
    "dil_conv_3x3": relu_conv_bn((3, 3), dilation=2),
    "conv_1x3_3x1": relu_conv_bn((1, 3), (3, 1)),
    "conv_1x7_7x1": relu_conv_bn((1, 7), (7, 1)),
    "sep_3x3": _separable(3),
    "sep_5x5": _separable(5),
    "sep_7x7": _separable(7),
    "avg_pool_3x3": _pool("avg", 3),
    "max_pool_3x3": _pool("max", 3),
    "max_pool_5x5": _pool("max", 5),
    "max_pool_7x7": _pool("max", 7),
}
"""The 13 of the search space; with 5 blocks that add or concatenate there are 2.287e18 cells."""


class FactorizedReduction(nn.Module):
    """Half the size without losing pixels to the stride: two 1x1 on grids one pixel apart.

    (B, C, H, W) -> (B, C', ceil(H / 2), ceil(W / 2))
    """

    def __init__(self, in_chans: int, out_chans: int) -> None:
        super().__init__()
        self.path1 = nn.Conv2d(in_chans, out_chans // 2, 1, bias=False)
        self.path2 = nn.Conv2d(in_chans, out_chans - out_chans // 2, 1, bias=False)
        self.norm = batch_norm(out_chans)

    def forward(self, x: Tensor) -> Tensor:
        x = x.relu()
        shifted = F.pad(x, (-1, 1, -1, 1))
        paths = [self.path1(F.avg_pool2d(x, 1, 2)), self.path2(F.avg_pool2d(shifted, 1, 2))]
        return self.norm(torch.cat(paths, dim=1))

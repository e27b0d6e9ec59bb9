"""AnyNetX and RegNetX/Y: networks as points of a design space (Radosavovic et al. 2020; deck 0).

arXiv:2003.13678, sec. 3. AnyNet has 16 numbers, four a stage; RegNet makes them from 6 by a linear
rule. Stages 1-4 reduce the image by 4, 8, 16, 32. timm has the published nets (regnetx_002 ...).
"""

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import torch.nn.functional as F
from timm.layers import ClassifierHead, DropPath, SEModule
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn

from cnnlab.backbones.blocks import conv_bn_relu, init_as_he
from cnnlab.backbones.default_cfgs import IMAGENET_CFG
from cnnlab.backbones.staged import StagedNet
from cnnlab.errors import UserError

__all__ = ["AnyNet"]

STEM_WIDTH = 32
default_cfgs = generate_default_cfgs(
    {name: IMAGENET_CFG for name in ("anynet", "regnet_generated")}
)


def block_widths(depth: int, w0: int, wa: float, wm: float, step: int = 8) -> list[int]:
    """The width of each block before group widths are seen to (eq. 2 to 4).

    The line u_j = w0 + wa j, rounded to w0 wm^s with a whole s, then to a multiple of `step`.
    """
    lines = [w0 + wa * block for block in range(depth)]
    powers = [round(math.log(line / w0) / math.log(wm)) for line in lines]
    return [step * round(w0 * wm**power / step) for power in powers]


def whole_groups(width: int, group_width: int, bottleneck_ratio: float) -> tuple[int, int]:
    """(width, group width) nearest to those wanted whose 3x3 convolution has whole groups.

    A group is at most as wide as the convolution; the rule of the released code.
    """
    inner = int(width / bottleneck_ratio)
    group_width = min(group_width, inner)
    inner = round(inner / group_width) * group_width
    return int(inner * bottleneck_ratio), group_width


def stages_of(
    depth: int, w0: int, wa: float, wm: float, group_width: int, bottleneck_ratio: float = 1.0
) -> tuple[list[int], list[int], list[int]]:
    """RegNet's rule: depths, widths and group widths of the stages (blocks of one width)."""
    runs = [(w, len(list(run))) for w, run in groupby(block_widths(depth, w0, wa, wm))]
    pairs = [whole_groups(width, group_width, bottleneck_ratio) for width, _ in runs]
    return [blocks for _, blocks in runs], [width for width, _ in pairs], [g for _, g in pairs]


class XBlock(nn.Module):
    """1x1, group 3x3, (SE), 1x1, each with BN, plus the shortcut, ReLU (Fig. 4; Y: sec. 5).

    (B, C, H, W) -> (B, C', H/s, W/s)
    """

    def __init__(
        self,
        in_chans: int,
        width: int,
        stride: int,
        group_width: int,
        bottleneck_ratio: float,
        se_ratio: float,
        drop_path: float,
    ) -> None:
        super().__init__()
        inner = round(width / bottleneck_ratio)
        groups = inner // group_width
        self.conv1 = nn.Conv2d(in_chans, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, padding=1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        # A quarter of the block's input, not of the channels that are gated (released code).
        squeezed = round(in_chans * se_ratio)
        self.se = SEModule(inner, rd_channels=squeezed) if squeezed else nn.Identity()
        self.conv3 = nn.Conv2d(inner, width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()
        self.shortcut: nn.Module = nn.Identity()
        if in_chans != width or stride > 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_chans, width, 1, stride, bias=False), nn.BatchNorm2d(width)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        y = self.bn3(self.conv3(self.se(y)))
        return F.relu(self.drop_path(y) + self.shortcut(x), inplace=True)


class AnyNet(StagedNet):
    """A 3x3 stem of stride 2 with 32 channels, four stages of X blocks that each halve the maps.

    One number instead of four for `bottleneck_ratio` gives AnyNetX_B (13 parameters), for
    `group_width` too AnyNetX_C (10). Weights start as in the released
    code: He, fan-out; the classifier with deviation 0.01.

    `(B, in_chans, H, W) -> (B, num_classes)`

    Args:
        in_chans: channels of the image.
        num_classes: classes.
        depths: d, blocks of each stage.
        widths: w, channels of each stage.
        bottleneck_ratio: b, width outside by width inside the block.
        group_width: g, channels of a group of the 3x3 convolution.
        se_ratio: squeezed channels by the block's input channels; 0.25 is RegNetY, 0 has no SE.
        drop_path: stochastic depth: the last block's probability to be dropped, linear from 0.
        dropout: before the classifier.

    Raises:
        UserError: numbers that make no net.
    """

    def __init__(
        self,
        in_chans: int = 3,
        num_classes: int = 1000,
        depths: Sequence[int] = (1, 1, 4, 7),
        widths: Sequence[int] = (24, 56, 152, 368),
        bottleneck_ratio: float | Sequence[float] = 1.0,
        group_width: int | Sequence[int] = 8,
        se_ratio: float = 0.0,
        drop_path: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(num_classes)
        for knob, values in {"depths": depths, "widths": widths}.items():
            if len(values) != 4 or min(values) < 1:
                raise UserError(f"model.{knob}={list(values)}: must be four numbers from 1 on")
        ratios = _four("bottleneck_ratio", bottleneck_ratio)
        group_widths = [int(g) for g in _four("group_width", group_width)]
        self.stem = conv_bn_relu(in_chans, STEM_WIDTH, 3, stride=2)
        chans, done = STEM_WIDTH, 0
        for index, depth in enumerate(depths):
            width, group, ratio = widths[index], group_widths[index], ratios[index]
            if whole_groups(width, group, ratio) != (width, group):
                good, group = whole_groups(width, group, ratio)
                raise UserError(
                    f"model.widths={list(widths)}: the 3x3 convolution of stage {index + 1} must "
                    f"have whole groups; nearest: width {good} with group_width {group}"
                )
            stage = nn.Sequential()
            for block in range(depth):
                drop = drop_path * done / max(1, sum(depths) - 1)
                stride = 1 if block else 2
                stage.append(XBlock(chans, width, stride, group, ratio, se_ratio, drop))
                chans, done = width, done + 1
            self.add_stage(stage, channels=width, reduction=4 * 2**index)
        self.head = ClassifierHead(chans, num_classes, drop_rate=dropout)
        init_as_he(self)
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.bias is not None:  # of SE
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)


class RegNet(AnyNet):
    """AnyNet whose stages follow from depth d, w0, wa, wm, group width g, bottleneck ratio b.

    `(B, in_chans, H, W) -> (B, num_classes)`

    Args:
        in_chans: channels of the image.
        num_classes: classes.
        depth: d, blocks in all.
        w0: width of the line at the first block, a multiple of 8.
        wa: its growth from block to block.
        wm: factor between the widths of neighbouring stages.
        group_width: g, made narrower where a stage has fewer channels.
        bottleneck_ratio: b; the paper finds 1 best.
        se_ratio: 0.25 is RegNetY, 0 RegNetX.
        drop_path: see `AnyNet`.
        dropout: before the classifier.

    Raises:
        UserError: numbers whose rule does not give four stages.
    """

    def __init__(
        self,
        in_chans: int = 3,
        num_classes: int = 1000,
        depth: int = 13,
        w0: int = 24,
        wa: float = 36.44,
        wm: float = 2.49,
        group_width: int = 8,
        bottleneck_ratio: float = 1.0,
        se_ratio: float = 0.0,
        drop_path: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        if depth < 1 or w0 < 8 or w0 % 8 or wa < 0 or wm <= 1 or group_width < 1:
            raise UserError(
                f"model.depth={depth} w0={w0} wa={wa} wm={wm} group_width={group_width}: must be "
                "depth >= 1, w0 a multiple of 8, wa >= 0, wm > 1, group_width >= 1"
            )
        depths, widths, groups = stages_of(depth, w0, wa, wm, group_width, bottleneck_ratio)
        if len(depths) != 4:
            raise UserError(
                f"model.depth={depth} w0={w0} wa={wa} wm={wm}: must give 4 stages; these give "
                f"{len(depths)}, of {depths} blocks"
            )
        super().__init__(
            in_chans,
            num_classes,
            depths,
            widths,
            bottleneck_ratio,
            groups,
            se_ratio,
            drop_path,
            dropout,
        )


def _four(knob: str, value: float | Sequence[float]) -> list[float]:
    """A number for each stage."""
    values = [value] * 4 if isinstance(value, int | float) else list(value)
    if len(values) != 4 or min(values) <= 0:
        raise UserError(f"model.{knob}={value}: must be one or four positive numbers")
    return values


@register_model
def anynet(pretrained: bool = False, **kwargs: Any) -> AnyNet:
    """16 numbers; without them RegNetX-200MF, 2.68 M parameters, 199 M MACs at 3x224x224."""
    features = {"out_indices": (0, 1, 2, 3)}
    return build_model_with_cfg(AnyNet, "anynet", pretrained, feature_cfg=features, **kwargs)


@register_model
def regnet_generated(pretrained: bool = False, **kwargs: Any) -> RegNet:
    """6 numbers; without them RegNetX-200MF, 2.68 M parameters, 199 M MACs at 3x224x224."""
    features = {"out_indices": (0, 1, 2, 3)}
    return build_model_with_cfg(
        RegNet, "regnet_generated", pretrained, feature_cfg=features, **kwargs
    )

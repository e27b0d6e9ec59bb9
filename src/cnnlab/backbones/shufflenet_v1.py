"""ShuffleNet: grouped 1x1 convolutions and a channel shuffle (Zhang et al. 2018; deck 2).

arXiv:1707.01083, Table 1. Stages 1-5 reduce the image by 2, 4, 8, 16, 32; stages 3-5 are the
paper's Stage2-Stage4. What the paper leaves open is as in the authors' code, ShuffleNet-Series:
initial weights, and that the average pool of the downsampling unit is outside its ReLU.
"""

from typing import Any

import torch
from timm.layers import ClassifierHead
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn

from cnnlab.backbones.blocks import check_se, conv_bn_relu, squeeze_excitation
from cnnlab.backbones.default_cfgs import IMAGENET_CFG
from cnnlab.backbones.staged import StagedNet
from cnnlab.errors import UserError

__all__ = ["ShuffleNetV1"]

default_cfgs = generate_default_cfgs({"shufflenet_v1": IMAGENET_CFG | {"first_conv": "stage1.0"}})

CHANNELS = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}
"""Number of groups -> output channels of Stage2 at width 1 (Table 1): equal cost for all."""


class ShuffleUnit(nn.Module):
    """Grouped 1x1, BN, ReLU, shuffle, 3x3 depthwise, BN, grouped 1x1, BN [, SE] (Fig. 2).

    Stride 1 adds the input, then ReLU. Stride 2 makes only the new channels: the input, average
    pooled, is concatenated. `(B, C, H, W) -> (B, C', H / s, W / s)`
    """

    def __init__(
        self,
        in_chans: int,
        out_chans: int,
        stride: int,
        groups: int,
        first_groups: int,
        shuffle: bool,
        se_reduction: int | None,
    ) -> None:
        super().__init__()
        mid = _ceil(out_chans / 4, groups)  # "bottleneck channels: 1/4 of the output"
        made = out_chans if stride == 1 else out_chans - in_chans
        self.reduce = nn.Conv2d(in_chans, mid, 1, groups=first_groups, bias=False)
        self.bn1 = nn.BatchNorm2d(mid)
        self.shuffle = nn.ChannelShuffle(groups) if shuffle and groups > 1 else nn.Identity()
        self.depthwise = nn.Conv2d(mid, mid, 3, stride, padding=1, groups=mid, bias=False)
        self.bn2 = nn.BatchNorm2d(mid)
        self.expand = nn.Conv2d(mid, made, 1, groups=groups, bias=False)
        self.bn3 = nn.BatchNorm2d(made)
        self.se = squeeze_excitation(made, se_reduction)
        self.pool = nn.AvgPool2d(3, stride, padding=1) if stride > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn1(self.reduce(x)).relu()
        y = self.bn2(self.depthwise(self.shuffle(y)))
        y = self.se(self.bn3(self.expand(y)))
        if self.pool is None:
            return (x + y).relu()
        return torch.cat([self.pool(x), y.relu()], dim=1)


class ShuffleNetV1(StagedNet):
    """3x3 stem, max pooling, three stages of shuffle units with w, 2w and 4w channels.

    `(B, in_chans, H, W) -> (B, num_classes)`

    Args:
        in_chans: image channels.
        num_classes: classes.
        groups: of the 1x1 convolutions (the deck's "group size"): 1, 2, 3, 4 or 8.
        width: the paper's s in "ShuffleNet sx", from 0.25 to 2.
        shuffle: shuffle channels between the groups.
        se: squeeze-and-excitation on what a unit makes.
        se_reduction: its channels by those of the layer between.
        shallow: half the units in each stage.
        stem_width: channels of the stem; None: 24 s, or a little more for groups of equal size.
    """

    def __init__(
        self,
        in_chans: int = 3,
        num_classes: int = 1000,
        groups: int = 3,
        width: float = 1.0,
        shuffle: bool = True,
        se: bool = False,
        se_reduction: int = 16,
        shallow: bool = False,
        stem_width: int | None = None,
    ) -> None:
        super().__init__(num_classes)
        reduction = check_se(se, se_reduction)
        if groups not in CHANNELS:
            raise UserError(f"model.groups={groups}: must be 1, 2, 3, 4 or 8")
        if not 0.25 <= width <= 2:
            raise UserError(f"model.width={width}: must be from 0.25 to 2")
        out_chans = _ceil(CHANNELS[groups] * width, groups)
        if stem_width is None:
            # Stage2's first unit makes out_chans - stem channels, in groups of equal size.
            stem_width = _ceil(24 * width, groups)
        if (out_chans - stem_width) % groups or not 0 < stem_width < out_chans:
            raise UserError(
                f"model.knobs.stem_width={stem_width}: must be below {out_chans} and differ from "
                f"it by a multiple of groups={groups}"
            )
        stem = conv_bn_relu(in_chans, stem_width, 3, stride=2)
        self.add_stage(stem, channels=stem_width, reduction=2)
        self.add_stage(nn.MaxPool2d(3, 2, padding=1), channels=stem_width, reduction=4)
        chans = stem_width
        for index, units in enumerate((2, 4, 2) if shallow else (4, 8, 4)):
            stage = nn.Sequential()
            for unit in range(units):
                # "We do not apply group convolution on the first pointwise layer" of Stage2.
                first_groups = groups if index or unit else 1
                stride = 1 if unit else 2
                stage.append(
                    ShuffleUnit(chans, out_chans, stride, groups, first_groups, shuffle, reduction)
                )
                chans = out_chans
            self.add_stage(stage, channels=chans, reduction=8 * 2**index)
            out_chans *= 2
        self.head = ClassifierHead(chans, num_classes)
        self._initialise(stem[0])

    def _initialise(self, first: nn.Module) -> None:
        """The authors' code: N(0, 0.01) in the stem, N(0, 1 / inputs of the group) elsewhere."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.bias is None:  # SE has its own
                std = 0.01 if module is first else 1 / module.weight.shape[1]
                nn.init.normal_(module.weight, std=std)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.constant_(module.bias, 1e-4)


def _ceil(channels: float, groups: int) -> int:
    """The next multiple of `groups`."""
    # Rounded first: 240 * 0.7 is 167.99999999999997.
    return -int(-round(channels, 6) // groups) * groups


@register_model
def shufflenet_v1(pretrained: bool = False, **kwargs: Any) -> ShuffleNetV1:
    """ShuffleNet 1x, g = 3: 1.87 M parameters, 137.5 M MACs at 3x224x224 (Table 1)."""
    features = {"out_indices": (0, 1, 2, 3, 4)}
    return build_model_with_cfg(
        ShuffleNetV1, "shufflenet_v1", pretrained, feature_cfg=features, **kwargs
    )

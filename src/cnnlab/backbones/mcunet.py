"""MCUNet: the nets TinyNAS found for microcontrollers (Lin et al. 2020, arXiv:2007.10319; deck 3).

The ImageNet nets in0 to in4 of the authors' model zoo (mit-han-lab/mcunet), each with the image
size it was found for. Stages 1-5 reduce the image by 2, 4, 8, 16, 32. He initialisation, fan out.
"""

from collections.abc import Sequence
from typing import Any

from timm.layers import ClassifierHead
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn

from cnnlab.backbones.blocks import conv_bn_relu, init_as_he
from cnnlab.backbones.default_cfgs import IMAGENET_CFG
from cnnlab.backbones.staged import StagedNet

__all__ = ["MCUNet"]

# Blocks as expansion/kernel/channels, a line a stage; the first of stages 2-5 has stride 2.
_STAGES = {
    "mcunet_in0": (
        "1/3/16",
        "4/5/16 3/3/16 4/3/16",
        "5/7/24 4/5/24 5/5/24",
        "5/7/48 4/5/48 5/3/56 4/5/56 5/3/56",
        "6/3/112 4/5/112 6/3/192",
    ),
    "mcunet_in1": (
        "1/3/8",
        "4/3/16 3/3/16",
        "3/7/24 5/3/24",
        "5/3/40 4/7/40 4/5/48 3/3/48 4/3/48",
        "5/7/96 4/5/96 4/5/96 6/3/160",
    ),
    "mcunet_in2": (
        "1/3/8",
        "3/5/16 6/7/16 5/3/16 5/5/16",
        "5/3/24 6/7/24 6/5/24",
        "4/7/40 5/5/40 5/3/48 5/5/48 4/3/48",
        "6/5/96 4/5/96 3/5/96 4/3/96 5/5/160",
    ),
    "mcunet_in3": (
        "1/3/8",
        "3/7/16 5/3/16 5/7/16 4/5/16",
        "5/5/24 5/5/24 5/5/24",
        "5/3/40 6/7/40 4/5/40 5/5/48 5/7/48 5/3/48",
        "6/3/96 5/7/96 4/3/96 5/7/160",
    ),
    "mcunet_in4": (
        "1/3/16",
        "3/7/24 5/3/24 4/5/24",
        "5/7/40 4/3/40 4/7/40",
        "3/7/80 3/3/80 3/7/80 4/3/96 3/5/96 3/5/96",
        "4/7/192 3/7/192 3/5/192 4/5/320",
    ),
}
_STEM_WIDTHS = {
    "mcunet_in0": 24,
    "mcunet_in1": 16,
    "mcunet_in2": 16,
    "mcunet_in3": 16,
    "mcunet_in4": 32,
}
_IMAGE_SIZES = {
    "mcunet_in0": 48,
    "mcunet_in1": 96,
    "mcunet_in2": 160,
    "mcunet_in3": 176,
    "mcunet_in4": 160,
}

default_cfgs = generate_default_cfgs(
    {name: IMAGENET_CFG | {"input_size": (3, size, size)} for name, size in _IMAGE_SIZES.items()}
)


class MBConv(nn.Module):
    """1x1 (none at expansion 1), k x k depthwise, each BN, ReLU6; 1x1, BN.

    Adds the input where the shape stays. `(B, C, H, W) -> (B, C', H / s, W / s)`
    """

    def __init__(
        self, in_chans: int, out_chans: int, stride: int, expansion: int, kernel_size: int
    ) -> None:
        super().__init__()
        mid = expansion * in_chans
        self.expand = (
            conv_bn_relu(in_chans, mid, 1, act=nn.ReLU6) if expansion > 1 else nn.Identity()
        )
        self.depthwise = conv_bn_relu(mid, mid, kernel_size, stride, groups=mid, act=nn.ReLU6)
        self.project = nn.Sequential(
            nn.Conv2d(mid, out_chans, 1, bias=False), nn.BatchNorm2d(out_chans)
        )
        self.residual = stride == 1 and in_chans == out_chans

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


class MCUNet(StagedNet):
    """3x3 stem with stride 2, five stages of MBConv blocks, average pooling.

    `(B, in_chans, H, W) -> (B, num_classes)`

    Args:
        in_chans: image channels.
        num_classes: classes.
        stem_width: channels of the stem.
        stages: blocks of each stage, as `expansion/kernel/channels` with spaces between.
    """

    def __init__(
        self, in_chans: int, num_classes: int, stem_width: int, stages: Sequence[str]
    ) -> None:
        super().__init__(num_classes)
        self.stem = conv_bn_relu(in_chans, stem_width, 3, stride=2, act=nn.ReLU6)
        chans = stem_width
        for index, blocks in enumerate(stages):
            stage = nn.Sequential()
            for block in blocks.split():
                expansion, kernel_size, out_chans = map(int, block.split("/"))
                stride = 2 if index and not len(stage) else 1
                stage.append(MBConv(chans, out_chans, stride, expansion, kernel_size))
                chans = out_chans
            self.add_stage(stage, channels=chans, reduction=2 ** (index + 1))
        self.head = ClassifierHead(chans, num_classes)
        init_as_he(self)


def _build(name: str, pretrained: bool, **kwargs: Any) -> MCUNet:
    return build_model_with_cfg(
        MCUNet,
        name,
        pretrained,
        feature_cfg={"out_indices": (0, 1, 2, 3, 4)},
        stem_width=_STEM_WIDTHS[name],
        stages=_STAGES[name],
        **kwargs,
    )


@register_model
def mcunet_in0(pretrained: bool = False, **kwargs: Any) -> MCUNet:
    """0.75 M parameters, 6.4 M MACs at 3x48x48."""
    return _build("mcunet_in0", pretrained, **kwargs)


@register_model
def mcunet_in1(pretrained: bool = False, **kwargs: Any) -> MCUNet:
    """0.64 M parameters, 12.8 M MACs at 3x96x96."""
    return _build("mcunet_in1", pretrained, **kwargs)


@register_model
def mcunet_in2(pretrained: bool = False, **kwargs: Any) -> MCUNet:
    """0.73 M parameters, 67.3 M MACs at 3x160x160."""
    return _build("mcunet_in2", pretrained, **kwargs)


@register_model
def mcunet_in3(pretrained: bool = False, **kwargs: Any) -> MCUNet:
    """0.74 M parameters, 81.8 M MACs at 3x176x176."""
    return _build("mcunet_in3", pretrained, **kwargs)


@register_model
def mcunet_in4(pretrained: bool = False, **kwargs: Any) -> MCUNet:
    """1.73 M parameters, 125.9 M MACs at 3x160x160."""
    return _build("mcunet_in4", pretrained, **kwargs)

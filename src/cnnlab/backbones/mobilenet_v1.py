"""MobileNet: 3x3 depthwise, then 1x1 convolutions (Howard et al. 2017; decks 1-4).

arXiv:1704.04861, Table 1. Stages 1-5 reduce the image by 2, 4, 8, 16, 32. Initial weights as in the
authors' code (TF-slim): a normal distribution with standard deviation 0.09, cut at two of them.
"""

from itertools import pairwise
from typing import Any

from timm.layers import ClassifierHead
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import nn

from cnnlab.backbones.blocks import conv_bn_relu
from cnnlab.backbones.default_cfgs import IMAGENET_CFG
from cnnlab.backbones.staged import StagedNet
from cnnlab.errors import UserError

__all__ = ["MobileNetV1"]

IMAGE_SIZE = 224
"""The side in pixels that the resolution multiplier multiplies."""

default_cfgs = generate_default_cfgs({"mobilenet_v1": IMAGENET_CFG})


class MobileNetV1(StagedNet):
    """3x3 stem of 32 channels, 13 blocks; the stem and the first of stages 2-5 have stride 2.

    `(B, in_chans, H, W) -> (B, num_classes)`

    Args:
        in_chans: image channels.
        num_classes: classes.
        width: the paper's width multiplier alpha, of all layers.
        depthwise: False: one full 3x3 convolution in place of each block (Table 4).
        shallow: without the five blocks of 512 to 512 channels (Table 5).
        relu6: ReLU cut at 6 in place of ReLU.
        resolution_multiplier: the paper's rho (Table 7: 1, 6/7, 5/7, 4/7). It changes no weight,
            only the image size that the net declares (`default_cfg`): 224 times it.

    Raises:
        UserError: a multiplier out of its range.
    """

    def __init__(
        self,
        in_chans: int = 3,
        num_classes: int = 1000,
        width: float = 1.0,
        depthwise: bool = True,
        shallow: bool = False,
        relu6: bool = False,
        resolution_multiplier: float = 1.0,
    ) -> None:
        super().__init__(num_classes)
        if not 0 < width <= 2:
            raise UserError(f"model.width={width}: must be above 0, at most 2")
        if resolution_multiplier <= 0:
            raise UserError(
                f"model.resolution_multiplier={resolution_multiplier}: must be positive"
            )
        act = nn.ReLU6 if relu6 else nn.ReLU
        block = _separable if depthwise else _full
        stem, *widths = (max(8, round(width * chans)) for chans in (32, 64, 128, 256, 512, 1024))
        self.stem = conv_bn_relu(in_chans, stem, 3, stride=2, act=act)
        blocks = (1, 2, 2, 1 if shallow else 6, 2)
        for index, (chans, out_chans) in enumerate(pairwise([stem, *widths])):
            stage = nn.Sequential(block(chans, out_chans, 2 if index else 1, act))
            for _ in range(blocks[index] - 1):
                stage.append(block(out_chans, out_chans, 1, act))
            self.add_stage(stage, channels=out_chans, reduction=2 ** (index + 1))
        self.head = ClassifierHead(widths[-1], num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.trunc_normal_(module.weight, std=0.09, a=-0.18, b=0.18)


def _separable(in_chans: int, out_chans: int, stride: int, act: type[nn.Module]) -> nn.Sequential:
    """3x3 depthwise, BN, ReLU, 1x1, BN, ReLU (Fig. 3). (B, C, H, W) -> (B, C', H / s, W / s)."""
    depthwise = conv_bn_relu(in_chans, in_chans, 3, stride, groups=in_chans, act=act)
    return nn.Sequential(*depthwise, *conv_bn_relu(in_chans, out_chans, 1, act=act))


def _full(in_chans: int, out_chans: int, stride: int, act: type[nn.Module]) -> nn.Sequential:
    """3x3, BN, ReLU (Fig. 3). (B, C, H, W) -> (B, C', H / s, W / s)."""
    return conv_bn_relu(in_chans, out_chans, 3, stride, act=act)


@register_model
def mobilenet_v1(pretrained: bool = False, **kwargs: Any) -> MobileNetV1:
    """1.0 MobileNet-224: 4.23 M parameters, 568.7 M MACs at 3x224x224 (Table 6)."""
    size = round(IMAGE_SIZE * kwargs.get("resolution_multiplier", 1.0))
    overlay = kwargs.pop("pretrained_cfg_overlay", None) or {}
    return build_model_with_cfg(
        MobileNetV1,
        "mobilenet_v1",
        pretrained,
        feature_cfg={"out_indices": (0, 1, 2, 3, 4)},
        pretrained_cfg_overlay={"input_size": (3, size, size)} | overlay,
        **kwargs,
    )

"""ResNet for 224x224 images as first published (He et al. 2015, arXiv:1512.03385; decks 0-3).

timm has the later form (shortcut B, stride in the 3x3). Stages 1-5 are the paper's conv1, conv2_x
... conv5_x (Table 1) and reduce the image by 2, 4, 8, 16, 32.
"""

from collections.abc import Sequence
from typing import Any

from timm.layers import ClassifierHead
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import nn

from cnnlab.backbones.blocks import (
    BasicBlock,
    Bottleneck,
    Shortcut,
    StrideIn,
    check_groups,
    check_se,
    check_shortcut,
    conv_bn_relu,
    init_as_he,
)
from cnnlab.backbones.default_cfgs import IMAGENET_CFG
from cnnlab.backbones.staged import StagedNet
from cnnlab.errors import UserError

__all__ = ["ResNetV1"]

_NAMES = (
    "resnet_v1", "resnet50_v1", "resnet101_v1", "resnet152_v1",
    "resnet18_a", "resnet34_a", "plain18", "plain34",
)  # fmt: skip
default_cfgs = generate_default_cfgs(
    {name: IMAGENET_CFG | {"first_conv": "stage1.0"} for name in _NAMES}
)


class ResNetV1(StagedNet):
    """The paper's ImageNet net, residual or plain.

    Initialised as in the paper; no BatchNorm starts at zero.

    `(B, in_chans, H, W) -> (B, num_classes)`

    Args:
        in_chans: channels of the image.
        num_classes: classes.
        layers: blocks of conv2_x ... conv5_x.
        bottleneck: blocks of three layers (ResNet-50 and deeper) or of two (18 and 34).
        shortcut: where channels change, zero padding (A) or a projection (B); `none`: plain net.
        stride_in: the convolution of a bottleneck that has the stride: the first 1x1 (v1, the
            paper's) or the 3x3 (v1.5, fb.resnet.torch's).
        groups: of a bottleneck's 3x3 convolution.
        width_per_group: its channels a group in conv2_x.
        se: squeeze-and-excitation of each block's path, before the addition.
        se_reduction: its channels by those of the layer between.
        drop_path: stochastic depth (Huang et al. 2016, arXiv:1603.09382): the last block's
            probability to be dropped, by sample; block l of L has l/L of it.

    Raises:
        UserError: a value that is not allowed, or a bottleneck's knob without bottlenecks.
    """

    def __init__(
        self,
        in_chans: int = 3,
        num_classes: int = 1000,
        layers: Sequence[int] = (3, 4, 6, 3),
        bottleneck: bool = True,
        shortcut: Shortcut = "B",
        stride_in: StrideIn = "1x1",
        groups: int = 1,
        width_per_group: int = 64,
        se: bool = False,
        se_reduction: int = 16,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__(num_classes)
        if len(layers) != 4 or min(layers) < 1:
            raise UserError(f"model.layers={list(layers)}: must be 4 numbers of at least 1")
        check_shortcut(shortcut, drop_path)
        if stride_in not in ("1x1", "3x3"):
            raise UserError(f"model.stride_in={stride_in}: must be 1x1 or 3x3")
        check_groups(groups, width_per_group)
        reduction = check_se(se, se_reduction)
        if not bottleneck:
            for knob, value, only in (
                ("stride_in", stride_in, "1x1"),
                ("groups", groups, 1),
                ("width_per_group", width_per_group, 64),
            ):
                if value != only:
                    raise UserError(f"model.{knob}={value}: must be {only} without bottlenecks")
        self.add_stage(conv_bn_relu(in_chans, 64, 7, stride=2), channels=64, reduction=2)
        chans, done = 64, 0
        for index, blocks in enumerate(layers):
            stage = nn.Sequential()
            if index == 0:
                stage.append(nn.MaxPool2d(3, stride=2, padding=1))
            width = 64 * 2**index
            for block in range(blocks):
                stride = 2 if index and not block else 1
                done += 1
                drop = drop_path * done / sum(layers)
                if bottleneck:
                    mid_chans = width * width_per_group // 64 * groups
                    module: nn.Module = Bottleneck(
                        chans,
                        4 * width,
                        mid_chans,
                        stride,
                        stride_in,
                        groups,
                        shortcut,
                        drop,
                        reduction,
                    )
                    chans = 4 * width
                else:
                    module = BasicBlock(chans, width, stride, shortcut, drop, reduction)
                    chans = width
                stage.append(module)
            self.add_stage(stage, channels=chans, reduction=4 * 2**index)
        self.head = ClassifierHead(chans, num_classes)
        init_as_he(self)


def _build(name: str, pretrained: bool, **kwargs: Any) -> ResNetV1:
    features = {"out_indices": (0, 1, 2, 3, 4)}
    return build_model_with_cfg(ResNetV1, name, pretrained, feature_cfg=features, **kwargs)


def _basic(name: str, pretrained: bool, layers: Sequence[int], **kwargs: Any) -> ResNetV1:
    return _build(name, pretrained, layers=layers, bottleneck=False, **kwargs)


def _deep(name: str, pretrained: bool, layers: Sequence[int], **kwargs: Any) -> ResNetV1:
    return _build(name, pretrained, layers=layers, bottleneck=True, **kwargs)


@register_model
def resnet_v1(pretrained: bool = False, **kwargs: Any) -> ResNetV1:
    """Any `layers`, of bottlenecks or not."""
    return _build("resnet_v1", pretrained, **kwargs)


@register_model
def resnet50_v1(pretrained: bool = False, **kwargs: Any) -> ResNetV1:
    """25.56 M parameters, 3.858 G MACs at 224x224 (Table 1)."""
    return _deep("resnet50_v1", pretrained, (3, 4, 6, 3), **kwargs)


@register_model
def resnet101_v1(pretrained: bool = False, **kwargs: Any) -> ResNetV1:
    """44.55 M parameters, 7.570 G MACs at 224x224 (Table 1)."""
    return _deep("resnet101_v1", pretrained, (3, 4, 23, 3), **kwargs)


@register_model
def resnet152_v1(pretrained: bool = False, **kwargs: Any) -> ResNetV1:
    """60.19 M parameters, 11.282 G MACs at 224x224 (Table 1)."""
    return _deep("resnet152_v1", pretrained, (3, 8, 36, 3), **kwargs)


@register_model
def resnet18_a(pretrained: bool = False, **kwargs: Any) -> ResNetV1:
    """11.52 M parameters, 1.795 G MACs at 224x224 (Table 2: zero-padding shortcuts)."""
    return _basic("resnet18_a", pretrained, (2, 2, 2, 2), **({"shortcut": "A"} | kwargs))


@register_model
def resnet34_a(pretrained: bool = False, **kwargs: Any) -> ResNetV1:
    """21.62 M parameters, 3.644 G MACs at 224x224 (Table 2: zero-padding shortcuts)."""
    return _basic("resnet34_a", pretrained, (3, 4, 6, 3), **({"shortcut": "A"} | kwargs))


@register_model
def plain18(pretrained: bool = False, **kwargs: Any) -> ResNetV1:
    """11.52 M parameters, 1.795 G MACs at 224x224 (Table 2)."""
    return _basic("plain18", pretrained, (2, 2, 2, 2), shortcut="none", **kwargs)


@register_model
def plain34(pretrained: bool = False, **kwargs: Any) -> ResNetV1:
    """21.62 M parameters, 3.644 G MACs at 224x224 (Table 2)."""
    return _basic("plain34", pretrained, (3, 4, 6, 3), shortcut="none", **kwargs)

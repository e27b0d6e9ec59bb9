"""ResNet for 224x224 images as first published (He et al. 2015, arXiv:1512.03385; decks 0-3).

timm has the later form (shortcut B, stride in the 3x3). Stages 1-5 are the paper's conv1, conv2_x
... conv5_x (Table 1) and reduce the image by 2, 4, 8, 16, 32.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch.nn.functional as F
from timm.layers import ClassifierHead, DropPath
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn

from cnnlab.backbones.default_cfgs import IMAGENET_CFG
from cnnlab.backbones.resnet_cifar import (
    BasicBlock,
    Shortcut,
    check_shortcut,
    init_as_he,
    make_shortcut,
    squeeze_excitation,
)
from cnnlab.backbones.staged import StagedNet
from cnnlab.errors import UserError

__all__ = ["ResNetV1"]

StrideIn = Literal["1x1", "3x3"]

_NAMES = (
    "resnet_v1", "resnet50_v1", "resnet101_v1", "resnet152_v1",
    "resnet18_a", "resnet34_a", "plain18", "plain34",
)  # fmt: skip
default_cfgs = generate_default_cfgs(
    {name: IMAGENET_CFG | {"first_conv": "stage1.0"} for name in _NAMES}
)


class Bottleneck(nn.Module):
    """1x1, BN, ReLU, 3x3 in groups, BN, ReLU, 1x1, BN (SE), plus the shortcut, ReLU (Fig. 5).

    ResNeXt's (Xie et al. 2017, arXiv:1611.05431, Fig. 3c) where there is more than one group.
    (B, C, H, W) -> (B, C', H/s, W/s)

    Args:
        in_chans: channels of the input.
        out_chans: channels of the output.
        mid_chans: channels of the 3x3 convolution.
        stride: of the block.
        stride_in: the convolution that has the stride: the first 1x1 (the paper's) or the 3x3.
        groups: of the 3x3 convolution.
        shortcut: where channels change, zero padding (A) or a projection (B); or none at all.
        drop_path: probability that the path is dropped.
        se: squeeze-and-excitation of the path.
    """

    def __init__(
        self,
        in_chans: int,
        out_chans: int,
        mid_chans: int,
        stride: int,
        stride_in: StrideIn,
        groups: int,
        shortcut: Shortcut,
        drop_path: float,
        se: bool,
    ) -> None:
        super().__init__()
        first, second = (stride, 1) if stride_in == "1x1" else (1, stride)
        self.conv1 = nn.Conv2d(in_chans, mid_chans, 1, first, bias=False)
        self.bn1 = nn.BatchNorm2d(mid_chans)
        self.conv2 = nn.Conv2d(
            mid_chans, mid_chans, 3, second, padding=1, groups=groups, bias=False
        )
        self.bn2 = nn.BatchNorm2d(mid_chans)
        self.conv3 = nn.Conv2d(mid_chans, out_chans, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_chans)
        self.se = squeeze_excitation(out_chans) if se else nn.Identity()
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()
        self.shortcut = make_shortcut(shortcut, in_chans, out_chans, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        y = self.drop_path(self.se(self.bn3(self.conv3(y))))
        if self.shortcut is not None:
            y = y + self.shortcut(x)
        return F.relu(y, inplace=True)


def check_groups(groups: int, width_per_group: int) -> None:
    """Refuse a 3x3 convolution without channels."""
    for knob, value in (("groups", groups), ("width_per_group", width_per_group)):
        if value < 1:
            raise UserError(f"model.{knob}={value}: must be at least 1")


class ResNetV1(StagedNet):
    """The paper's ImageNet net, residual or plain.

    Initialised as in the paper; no BatchNorm starts at zero.

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
        drop_path: float = 0.0,
    ) -> None:
        super().__init__(num_classes)
        if len(layers) != 4 or min(layers) < 1:
            raise UserError(f"model.layers={list(layers)}: must be 4 numbers of at least 1")
        check_shortcut(shortcut, drop_path)
        if stride_in not in ("1x1", "3x3"):
            raise UserError(f"model.stride_in={stride_in}: must be 1x1 or 3x3")
        check_groups(groups, width_per_group)
        if not bottleneck:
            for knob, value, only in (
                ("stride_in", stride_in, "1x1"),
                ("groups", groups, 1),
                ("width_per_group", width_per_group, 64),
            ):
                if value != only:
                    raise UserError(f"model.{knob}={value}: must be {only} without bottlenecks")
        conv1 = nn.Sequential(
            nn.Conv2d(in_chans, 64, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(inplace=True),
        )
        self.add_stage(conv1, channels=64, reduction=2)
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
                        chans, 4 * width, mid_chans, stride, stride_in, groups, shortcut, drop, se
                    )
                    chans = 4 * width
                else:
                    module = BasicBlock(chans, width, stride, shortcut, drop, se)
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

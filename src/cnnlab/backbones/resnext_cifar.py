"""ResNeXt for 32x32 images (Xie et al. 2017, arXiv:1611.05431, sec. 5.3; decks 0, 1, 4).

A 3x3 stem and three stages of n bottlenecks with 256, 512 and 1024 channels (`width` makes it
narrower): 9n + 2 layers.
Stages 1-3 reduce the image by 1, 2, 4. As in the released code the block is the original one with
the stride in the 3x3 (its README: better than the pre-activation block of the paper's CIFAR runs).
"""

from typing import Any

from timm.layers import ClassifierHead
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import nn

from cnnlab.backbones.blocks import (
    Bottleneck,
    check_groups,
    check_se,
    conv_bn_relu,
    count_blocks,
    init_as_he,
)
from cnnlab.backbones.default_cfgs import CIFAR_CFG
from cnnlab.backbones.staged import StagedNet
from cnnlab.errors import UserError

__all__ = ["ResNeXtCifar"]

_NAMES = ("resnext_cifar", "resnext29_cifar", "resnext29_8x64d_cifar", "resnext29_16x64d_cifar")
default_cfgs = generate_default_cfgs({name: CIFAR_CFG for name in _NAMES})


class ResNeXtCifar(StagedNet):
    """Three stages of bottlenecks with a 3x3 convolution in groups.

    `(B, in_chans, H, W) -> (B, num_classes)`

    Args:
        in_chans: channels of the image.
        num_classes: classes.
        depth: layers with weights, 9n + 2.
        groups: of the 3x3 convolution, the paper's cardinality.
        width_per_group: its channels a group in the first stage.
        width: channels that the first stage gives; the stem has a quarter of them.
        se: squeeze-and-excitation of each block's path, before the addition.
        se_reduction: its channels by those of the layer between.
        drop_path: stochastic depth (Huang et al. 2016, arXiv:1603.09382): the last block's
            probability to be dropped, by sample; block l of L has l/L of it.

    Raises:
        UserError: a depth that is not 9n + 2, no groups, groups without channels, too
            narrow a net.
    """

    def __init__(
        self,
        in_chans: int = 3,
        num_classes: int = 10,
        depth: int = 29,
        groups: int = 8,
        width_per_group: int = 64,
        width: int = 256,
        se: bool = False,
        se_reduction: int = 16,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__(num_classes)
        blocks = count_blocks(depth, layers=9, others=2)
        check_groups(groups, width_per_group)
        reduction = check_se(se, se_reduction)
        if width < 4:
            raise UserError(f"model.width={width}: must be at least 4")
        chans = width // 4
        self.stem = conv_bn_relu(in_chans, chans, 3)
        for index in range(3):
            stage = nn.Sequential()
            out_chans, mid_chans = width * 2**index, groups * width_per_group * 2**index
            for block in range(blocks):
                stride = 2 if index and not block else 1
                drop = drop_path * (index * blocks + block + 1) / (3 * blocks)
                stage.append(
                    Bottleneck(
                        chans, out_chans, mid_chans, stride, "3x3", groups, "B", drop, reduction
                    )
                )
                chans = out_chans
            self.add_stage(stage, channels=chans, reduction=2**index)
        self.head = ClassifierHead(chans, num_classes)
        init_as_he(self)


def _build(name: str, pretrained: bool, **kwargs: Any) -> ResNeXtCifar:
    features = {"out_indices": (0, 1, 2)}
    return build_model_with_cfg(ResNeXtCifar, name, pretrained, feature_cfg=features, **kwargs)


@register_model
def resnext_cifar(pretrained: bool = False, **kwargs: Any) -> ResNeXtCifar:
    """Any `depth` 9n + 2."""
    return _build("resnext_cifar", pretrained, **kwargs)


@register_model
def resnext29_cifar(pretrained: bool = False, **kwargs: Any) -> ResNeXtCifar:
    """29 layers, any `groups` and `width_per_group` (Fig. 7)."""
    return _build("resnext29_cifar", pretrained, depth=29, **kwargs)


@register_model
def resnext29_8x64d_cifar(pretrained: bool = False, **kwargs: Any) -> ResNeXtCifar:
    """34.4 M parameters, 5.4 G MACs at 32x32 (Table 7)."""
    name = "resnext29_8x64d_cifar"
    return _build(name, pretrained, depth=29, groups=8, width_per_group=64, **kwargs)


@register_model
def resnext29_16x64d_cifar(pretrained: bool = False, **kwargs: Any) -> ResNeXtCifar:
    """68.1 M parameters, 10.7 G MACs at 32x32 (Table 7)."""
    name = "resnext29_16x64d_cifar"
    return _build(name, pretrained, depth=29, groups=16, width_per_group=64, **kwargs)

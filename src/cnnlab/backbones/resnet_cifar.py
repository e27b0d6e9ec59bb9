"""Residual and plain nets for 32x32 images (He et al. 2016, arXiv:1512.03385, sec. 4.2; decks 1-3).

A 3x3 stem and three stages of n two-layer blocks with w, 2w and 4w channels: 6n + 2 layers.
Stages 1-3 reduce the image by 1, 2, 4.
"""

from typing import Any

from timm.layers import ClassifierHead
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import nn

from cnnlab.backbones.blocks import (
    BasicBlock,
    Shortcut,
    check_se,
    check_shortcut,
    conv_bn_relu,
    count_blocks,
    init_as_he,
)
from cnnlab.backbones.default_cfgs import CIFAR_CFG
from cnnlab.backbones.staged import StagedNet

__all__ = ["ResNetCifar"]

_DEPTHS = {
    "resnet": ("20", "32", "44", "56", "110", "1202", ""),
    "plain": ("20", "32", "44", "56", "110", ""),
}
default_cfgs = generate_default_cfgs(
    {f"{family}{depth}_cifar": CIFAR_CFG for family, depths in _DEPTHS.items() for depth in depths}
)


class ResNetCifar(StagedNet):
    """The paper's CIFAR net, residual or plain.

    `(B, in_chans, H, W) -> (B, num_classes)`

    Args:
        in_chans: channels of the image.
        num_classes: classes.
        depth: layers with weights, 6n + 2.
        width: channels of the first stage (16 in the paper).
        shortcut: where channels change, zero padding (A, the paper's) or a 1x1 projection (B);
            `none` gives the plain net.
        drop_path: stochastic depth (Huang et al. 2016, arXiv:1603.09382): the last block's
            probability to be dropped, by sample; block l of L has l/L of it.
        se: squeeze-and-excitation of each block's path, before the addition.
        se_reduction: its channels by those of the layer between.

    Raises:
        UserError: a depth that is not 6n + 2; stochastic depth in a plain net.
    """

    def __init__(
        self,
        in_chans: int = 3,
        num_classes: int = 10,
        depth: int = 20,
        width: int = 16,
        shortcut: Shortcut = "A",
        drop_path: float = 0.0,
        se: bool = False,
        se_reduction: int = 16,
    ) -> None:
        super().__init__(num_classes)
        blocks = count_blocks(depth, layers=6, others=2)
        check_shortcut(shortcut, drop_path)
        reduction = check_se(se, se_reduction)
        self.stem = conv_bn_relu(in_chans, width, 3)
        chans = width
        for index in range(3):
            stage = nn.Sequential()
            for block in range(blocks):
                out_chans = width * 2**index
                stride = 2 if index and not block else 1
                drop = drop_path * (index * blocks + block + 1) / (3 * blocks)
                stage.append(BasicBlock(chans, out_chans, stride, shortcut, drop, reduction))
                chans = out_chans
            self.add_stage(stage, channels=chans, reduction=2**index)
        self.head = ClassifierHead(chans, num_classes)
        init_as_he(self)


def _build(name: str, pretrained: bool, **kwargs: Any) -> ResNetCifar:
    features = {"out_indices": (0, 1, 2)}
    return build_model_with_cfg(ResNetCifar, name, pretrained, feature_cfg=features, **kwargs)


@register_model
def resnet_cifar(pretrained: bool = False, **kwargs: Any) -> ResNetCifar:
    """Any `depth` 6n + 2."""
    return _build("resnet_cifar", pretrained, **kwargs)


@register_model
def resnet20_cifar(pretrained: bool = False, **kwargs: Any) -> ResNetCifar:
    """0.27 M parameters, 40.6 M MACs at 32x32 (Table 6)."""
    return _build("resnet20_cifar", pretrained, depth=20, **kwargs)


@register_model
def resnet32_cifar(pretrained: bool = False, **kwargs: Any) -> ResNetCifar:
    """0.46 M parameters, 68.9 M MACs at 32x32 (Table 6)."""
    return _build("resnet32_cifar", pretrained, depth=32, **kwargs)


@register_model
def resnet44_cifar(pretrained: bool = False, **kwargs: Any) -> ResNetCifar:
    """0.66 M parameters, 97.2 M MACs at 32x32 (Table 6)."""
    return _build("resnet44_cifar", pretrained, depth=44, **kwargs)


@register_model
def resnet56_cifar(pretrained: bool = False, **kwargs: Any) -> ResNetCifar:
    """0.85 M parameters, 125.5 M MACs at 32x32 (Table 6)."""
    return _build("resnet56_cifar", pretrained, depth=56, **kwargs)


@register_model
def resnet110_cifar(pretrained: bool = False, **kwargs: Any) -> ResNetCifar:
    """1.7 M parameters, 252.9 M MACs at 32x32 (Table 6; the paper warms up at lr 0.01)."""
    return _build("resnet110_cifar", pretrained, depth=110, **kwargs)


@register_model
def resnet1202_cifar(pretrained: bool = False, **kwargs: Any) -> ResNetCifar:
    """19.4 M parameters, 2.83 G MACs at 32x32 (Table 6)."""
    return _build("resnet1202_cifar", pretrained, depth=1202, **kwargs)


@register_model
def plain_cifar(pretrained: bool = False, **kwargs: Any) -> ResNetCifar:
    """Any `depth` 6n + 2, without shortcuts."""
    return _build("plain_cifar", pretrained, shortcut="none", **kwargs)


@register_model
def plain20_cifar(pretrained: bool = False, **kwargs: Any) -> ResNetCifar:
    """0.27 M parameters, 40.6 M MACs at 32x32 (Fig. 6)."""
    return _build("plain20_cifar", pretrained, depth=20, shortcut="none", **kwargs)


@register_model
def plain32_cifar(pretrained: bool = False, **kwargs: Any) -> ResNetCifar:
    """0.46 M parameters, 68.9 M MACs at 32x32 (Fig. 6)."""
    return _build("plain32_cifar", pretrained, depth=32, shortcut="none", **kwargs)


@register_model
def plain44_cifar(pretrained: bool = False, **kwargs: Any) -> ResNetCifar:
    """0.66 M parameters, 97.2 M MACs at 32x32 (Fig. 6)."""
    return _build("plain44_cifar", pretrained, depth=44, shortcut="none", **kwargs)


@register_model
def plain56_cifar(pretrained: bool = False, **kwargs: Any) -> ResNetCifar:
    """0.85 M parameters, 125.5 M MACs at 32x32 (Fig. 6)."""
    return _build("plain56_cifar", pretrained, depth=56, shortcut="none", **kwargs)


@register_model
def plain110_cifar(pretrained: bool = False, **kwargs: Any) -> ResNetCifar:
    """1.7 M parameters, 252.9 M MACs at 32x32 (the paper: over 60 % error)."""
    return _build("plain110_cifar", pretrained, depth=110, shortcut="none", **kwargs)

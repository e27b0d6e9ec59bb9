"""Residual and plain nets for 32x32 images (He et al. 2016, arXiv:1512.03385, sec. 4.2; decks 1-3).

A 3x3 stem and three stages of n two-layer blocks with w, 2w and 4w channels: 6n + 2 layers.
Stages 1-3 reduce the image by 1, 2, 4.
"""

from typing import Any, Literal

import torch.nn.functional as F
from timm.layers import ClassifierHead, DropPath, SEModule
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn

from cnnlab.backbones.default_cfgs import CIFAR_CFG
from cnnlab.backbones.staged import StagedNet
from cnnlab.errors import UserError

__all__ = ["ResNetCifar"]

Shortcut = Literal["A", "B", "none"]


_DEPTHS = {
    "resnet": ("20", "32", "44", "56", "110", "1202", ""),
    "plain": ("20", "32", "44", "56", "110", ""),
}
default_cfgs = generate_default_cfgs(
    {f"{family}{depth}_cifar": CIFAR_CFG for family, depths in _DEPTHS.items() for depth in depths}
)


class Subsample(nn.Module):
    """Option A, without parameters: every `stride`-th pixel, new channels zero.

    (B, C, H, W) -> (B, C', H/s, W/s)
    """

    def __init__(self, in_chans: int, out_chans: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.new_chans = out_chans - in_chans

    def forward(self, x: Tensor) -> Tensor:
        # The 1x1 average is x[..., ::s, ::s] whose gradient keeps channels_last: on the CPU a
        # training step of ResNet-20 in bf16 is 6 % faster than with the slice.
        return F.pad(F.avg_pool2d(x, 1, self.stride), (0, 0, 0, 0, 0, self.new_chans))


def _projection(in_chans: int, out_chans: int, stride: int) -> nn.Sequential:
    """Option B: 1x1, BN."""
    conv = nn.Conv2d(in_chans, out_chans, 1, stride, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_chans))


def make_shortcut(kind: Shortcut, in_chans: int, out_chans: int, stride: int) -> nn.Module | None:
    """What a residual block adds to its path: its input, changed only where it has to be."""
    if kind == "none":
        return None
    if in_chans == out_chans and stride == 1:
        return nn.Identity()
    return {"A": Subsample, "B": _projection}[kind](in_chans, out_chans, stride)


def squeeze_excitation(chans: int) -> SEModule:
    """Scale each channel by what all channels' means say (Hu et al. 2018, arXiv:1709.01507).

    Reduction 16 exactly: timm's own rule would round 16, 32 and 64 channels up to 8 hidden ones.
    """
    return SEModule(chans, rd_channels=max(1, chans // 16))


def count_blocks(depth: int, layers: int, others: int) -> int:
    """The blocks n of a stage of a net with `depth` = layers * n + others layers.

    Raises:
        UserError: no whole n >= 1 gives this depth.
    """
    if depth < layers + others or (depth - others) % layers:
        low = max(layers + others, depth - (depth - others) % layers)
        raise UserError(
            f"model.depth={depth}: must be {layers}n + {others}; nearest: {low} and {low + layers}"
        )
    return (depth - others) // layers


def check_shortcut(shortcut: Shortcut, drop_path: float) -> None:
    """Refuse an unknown shortcut, and stochastic depth without one."""
    if shortcut not in ("A", "B", "none"):
        raise UserError(f"model.shortcut={shortcut}: must be A, B or none")
    if drop_path and shortcut == "none":
        raise UserError(f"model.drop_path={drop_path}: a plain net has no path to drop")


def init_as_he(net: nn.Module) -> None:
    """Convolutions: normal, variance 2 / (k * k * C_out) (He et al. 2015, arXiv:1502.01852)."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


class BasicBlock(nn.Module):
    """3x3, BN, ReLU, 3x3, BN (SE), plus the shortcut, ReLU (Fig. 2).

    (B, C, H, W) -> (B, C', H/s, W/s)
    """

    def __init__(
        self,
        in_chans: int,
        out_chans: int,
        stride: int,
        shortcut: Shortcut,
        drop_path: float,
        se: bool,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_chans, out_chans, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_chans)
        self.conv2 = nn.Conv2d(out_chans, out_chans, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_chans)
        self.se = squeeze_excitation(out_chans) if se else nn.Identity()
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()
        self.shortcut = make_shortcut(shortcut, in_chans, out_chans, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.drop_path(self.se(self.bn2(self.conv2(y))))
        if self.shortcut is not None:
            y = y + self.shortcut(x)
        return F.relu(y, inplace=True)


class ResNetCifar(StagedNet):
    """The paper's CIFAR net, residual or plain.

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
    ) -> None:
        super().__init__(num_classes)
        blocks = count_blocks(depth, layers=6, others=2)
        check_shortcut(shortcut, drop_path)
        self.stem = nn.Sequential(
            nn.Conv2d(in_chans, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )
        chans = width
        for index in range(3):
            stage = nn.Sequential()
            for block in range(blocks):
                out_chans = width * 2**index
                stride = 2 if index and not block else 1
                drop = drop_path * (index * blocks + block + 1) / (3 * blocks)
                stage.append(BasicBlock(chans, out_chans, stride, shortcut, drop, se))
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

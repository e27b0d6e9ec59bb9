"""Pre-activation residual nets for 32x32 images (He et al. 2016, arXiv:1603.05027; decks 1, 4).

A 3x3 stem, three stages of n blocks, BN and ReLU at the end: 6n + 2 layers, or 9n + 2 with
bottlenecks. Stages 1-3 reduce the image by 1, 2, 4. The maps of stages 1 and 2 are bare sums (the
next block normalises them); those of stage 3 have passed the last BN and ReLU.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import torch.nn.functional as F
from timm.layers import ClassifierHead, DropPath
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn

from cnnlab.backbones.blocks import (
    Subsample,
    check_se,
    count_blocks,
    init_as_he,
    squeeze_excitation,
)
from cnnlab.backbones.default_cfgs import CIFAR_CFG
from cnnlab.backbones.staged import StagedNet

__all__ = ["PreResNetCifar"]

_NAMES = ("preresnet_cifar", "preresnet110_cifar", "preresnet164_cifar", "preresnet1001_cifar")
default_cfgs = generate_default_cfgs({name: CIFAR_CFG | {"first_conv": "stem"} for name in _NAMES})

Path = Callable[[int, int, int], nn.Module]
"""Makes a block's path from its input channels, output channels and stride."""


def basic_path(in_chans: int, out_chans: int, stride: int, dropout: float = 0.0) -> nn.Sequential:
    """3x3, BN, ReLU (dropout), 3x3; the BN and ReLU before are the block's.

    (B, C, H, W) -> (B, C', H/s, W/s)
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(in_chans, out_chans, 3, stride, padding=1, bias=False),
        bn2=nn.BatchNorm2d(out_chans),
        relu2=nn.ReLU(inplace=True),
    )
    if dropout:
        layers["dropout"] = nn.Dropout(dropout)
    layers["conv2"] = nn.Conv2d(out_chans, out_chans, 3, padding=1, bias=False)
    return nn.Sequential(layers)


def bottleneck_path(in_chans: int, out_chans: int, stride: int) -> nn.Sequential:
    """1x1 (has the stride), BN, ReLU, 3x3, BN, ReLU, 1x1; the first two with C'/4 channels.

    (B, C, H, W) -> (B, C', H/s, W/s)
    """
    mid_chans = out_chans // 4
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(in_chans, mid_chans, 1, stride, bias=False),
            bn2=nn.BatchNorm2d(mid_chans),
            relu2=nn.ReLU(inplace=True),
            conv2=nn.Conv2d(mid_chans, mid_chans, 3, padding=1, bias=False),
            bn3=nn.BatchNorm2d(mid_chans),
            relu3=nn.ReLU(inplace=True),
            conv3=nn.Conv2d(mid_chans, out_chans, 1, bias=False),
        )
    )


class PreActBlock(nn.Module):
    """BN, ReLU, the path (SE), plus the shortcut; nothing after the addition (Fig. 1b).

    Where channels change, the first BN and ReLU come before path and shortcut both.
    (B, C, H, W) -> (B, C', H/s, W/s)

    Args:
        path: the convolutions.
        change: the shortcut where channels change; None where they do not.
        in_chans: channels of the input.
        out_chans: channels of the output.
        drop_path: probability that the path is dropped.
        se_reduction: of the path's squeeze-and-excitation; None: without.
    """

    def __init__(
        self,
        path: nn.Module,
        change: nn.Module | None,
        in_chans: int,
        out_chans: int,
        drop_path: float,
        se_reduction: int | None,
    ) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_chans)
        self.path = path
        self.se = squeeze_excitation(out_chans, se_reduction)
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()
        self.shortcut = change

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(x))  # not in place: x may be the shortcut, were bn1 replaced
        shortcut = x if self.shortcut is None else self.shortcut(y)
        return shortcut + self.drop_path(self.se(self.path(y)))


class PreActNet(StagedNet):
    """A 3x3 stem, three stages of pre-activation blocks, BN and ReLU.

    `(B, in_chans, H, W) -> (B, num_classes)`

    Args:
        in_chans: channels of the image.
        num_classes: classes.
        widths: channels of the stem and of the three stages.
        blocks: of a stage.
        path: makes a block's path.
        project: where channels change, the shortcut is a 1x1 projection (B) or zero padding (A).
        drop_path: stochastic depth (Huang et al. 2016, arXiv:1603.09382): the last block's
            probability to be dropped, by sample; block l of L has l/L of it.
        se: squeeze-and-excitation of each block's path, before the addition.
        se_reduction: its channels by those of the layer between.
    """

    def __init__(
        self,
        in_chans: int,
        num_classes: int,
        widths: Sequence[int],
        blocks: int,
        path: Path,
        project: bool,
        drop_path: float,
        se: bool,
        se_reduction: int,
    ) -> None:
        super().__init__(num_classes)
        reduction = check_se(se, se_reduction)
        chans = widths[0]
        self.stem = nn.Conv2d(in_chans, chans, 3, padding=1, bias=False)
        for index, out_chans in enumerate(widths[1:]):
            stage = nn.Sequential()
            for block in range(blocks):
                stride = 2 if index and not block else 1
                change: nn.Module | None = None
                if chans != out_chans:
                    if project:  # without BN, as the block begins with one
                        change = nn.Conv2d(chans, out_chans, 1, stride, bias=False)
                    else:
                        change = Subsample(chans, out_chans, stride)
                drop = drop_path * (index * blocks + block + 1) / (3 * blocks)
                stage.append(
                    PreActBlock(
                        path(chans, out_chans, stride), change, chans, out_chans, drop, reduction
                    )
                )
                chans = out_chans
            if index == 2:
                stage.extend([nn.BatchNorm2d(chans), nn.ReLU(inplace=True)])
            self.add_stage(stage, channels=chans, reduction=2**index)
        self.head = ClassifierHead(chans, num_classes)
        init_as_he(self)


class PreResNetCifar(PreActNet):
    """The paper's CIFAR net.

    `(B, in_chans, H, W) -> (B, num_classes)`

    Args:
        in_chans: channels of the image.
        num_classes: classes.
        depth: layers with weights: 6n + 2, or 9n + 2 with bottlenecks.
        width: channels of the stem and of the first stage's 3x3 convolutions (16 in the paper).
        bottleneck: blocks of three layers and projections (ResNet-164 and 1001) or of two layers
            and zero-padding shortcuts (ResNet-110).
        drop_path: stochastic depth (Huang et al. 2016, arXiv:1603.09382): the last block's
            probability to be dropped, by sample; block l of L has l/L of it.
        se: squeeze-and-excitation of each block's path, before the addition.
        se_reduction: its channels by those of the layer between.

    Raises:
        UserError: a depth that the blocks do not give.
    """

    def __init__(
        self,
        in_chans: int = 3,
        num_classes: int = 10,
        depth: int = 164,
        width: int = 16,
        bottleneck: bool = True,
        drop_path: float = 0.0,
        se: bool = False,
        se_reduction: int = 16,
    ) -> None:
        expansion = 4 if bottleneck else 1
        super().__init__(
            in_chans,
            num_classes,
            widths=(width, *(expansion * width * 2**stage for stage in range(3))),
            blocks=count_blocks(depth, layers=9 if bottleneck else 6, others=2),
            path=bottleneck_path if bottleneck else basic_path,
            project=bottleneck,
            drop_path=drop_path,
            se=se,
            se_reduction=se_reduction,
        )


def _build(name: str, pretrained: bool, **kwargs: Any) -> PreResNetCifar:
    features = {"out_indices": (0, 1, 2)}
    return build_model_with_cfg(PreResNetCifar, name, pretrained, feature_cfg=features, **kwargs)


@register_model
def preresnet_cifar(pretrained: bool = False, **kwargs: Any) -> PreResNetCifar:
    """Any `depth` 9n + 2, or 6n + 2 without `bottleneck`."""
    return _build("preresnet_cifar", pretrained, **kwargs)


@register_model
def preresnet110_cifar(pretrained: bool = False, **kwargs: Any) -> PreResNetCifar:
    """1.7 M parameters, 252.9 M MACs at 32x32 (Table 2)."""
    return _build("preresnet110_cifar", pretrained, depth=110, bottleneck=False, **kwargs)


@register_model
def preresnet164_cifar(pretrained: bool = False, **kwargs: Any) -> PreResNetCifar:
    """1.7 M parameters, 244.5 M MACs at 32x32 (Table 4)."""
    return _build("preresnet164_cifar", pretrained, depth=164, bottleneck=True, **kwargs)


@register_model
def preresnet1001_cifar(pretrained: bool = False, **kwargs: Any) -> PreResNetCifar:
    """10.3 M parameters (the paper prints 10.2), 1.488 G MACs at 32x32 (Table 4)."""
    return _build("preresnet1001_cifar", pretrained, depth=1001, bottleneck=True, **kwargs)

"""ShiftResNet for 32x32 images: 1x1, shift, 1x1 in place of two 3x3 (Wu et al. 2018; deck 2).

arXiv:1711.08141, sec. 4.1. The skeleton of `resnet_cifar`: a 3x3 stem and three stages of n blocks
with w, 2w and 4w channels, depth 6n + 2. Stages 1-3 reduce the image by 1, 2, 4. The block's order
of layers is that of the authors' code, shiftresnet-cifar. He initialisation, fan out.
"""

from typing import Any

from timm.layers import ClassifierHead
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn

from cnnlab.backbones.blocks import Shift, conv_bn_relu, count_blocks, init_as_he
from cnnlab.backbones.default_cfgs import CIFAR_CFG
from cnnlab.backbones.staged import StagedNet
from cnnlab.errors import UserError

__all__ = ["ShiftResNetCifar"]

default_cfgs = generate_default_cfgs(
    {f"shiftresnet{depth}_cifar": CIFAR_CFG for depth in ("", "20", "56", "110")}
)


class ShiftBlock(nn.Module):
    """1x1 to `expansion` C', BN, ReLU, 3x3 shift, 1x1 (stride), BN, ReLU, plus the shortcut.

    No ReLU after the sum. With `depthwise` a 3x3 convolution of each channel in the shift's place.
    `(B, C, H, W) -> (B, C', H / s, W / s)`
    """

    def __init__(
        self,
        in_chans: int,
        out_chans: int,
        stride: int,
        expansion: int,
        depthwise: bool = False,
    ) -> None:
        super().__init__()
        mid = expansion * out_chans
        self.expand = nn.Conv2d(in_chans, mid, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(mid)
        self.shift: nn.Module = Shift(mid, kernel_size=3)
        if depthwise:
            self.shift = nn.Conv2d(mid, mid, 3, padding=1, groups=mid, bias=False)
        self.project = nn.Conv2d(mid, out_chans, 1, stride, bias=False)
        self.bn2 = nn.BatchNorm2d(out_chans)
        self.shortcut = nn.Sequential()
        if in_chans != out_chans:
            self.shortcut.append(nn.Conv2d(in_chans, out_chans, 1, stride, bias=False))
            self.shortcut.append(nn.BatchNorm2d(out_chans))

    def forward(self, x: Tensor) -> Tensor:
        y = self.shift(self.bn1(self.expand(x)).relu())
        return self.bn2(self.project(y)).relu() + self.shortcut(x)


class ShiftResNetCifar(StagedNet):
    """`(B, in_chans, H, W) -> (B, num_classes)`.

    Args:
        in_chans: image channels.
        num_classes: classes.
        depth: 6n + 2, the layers of the ResNet whose place it takes.
        width: channels of the first stage.
        expansion: the paper's E, the shifted channels over those of the output.
        depthwise: a depthwise 3x3 convolution in place of each shift (one of fixed kernels).
    """

    def __init__(
        self,
        in_chans: int = 3,
        num_classes: int = 10,
        depth: int = 20,
        width: int = 16,
        expansion: int = 3,
        depthwise: bool = False,
    ) -> None:
        super().__init__(num_classes)
        blocks = count_blocks(depth, layers=6, others=2)
        if expansion < 1:
            raise UserError(f"model.expansion={expansion}: must be 1 or more")
        self.stem = conv_bn_relu(in_chans, width, 3)
        chans = width
        for index in range(3):
            out_chans = width * 2**index
            stride = 2 if index else 1
            stage = nn.Sequential(ShiftBlock(chans, out_chans, stride, expansion, depthwise))
            for _ in range(blocks - 1):
                stage.append(ShiftBlock(out_chans, out_chans, 1, expansion, depthwise))
            self.add_stage(stage, channels=out_chans, reduction=2**index)
            chans = out_chans
        self.head = ClassifierHead(chans, num_classes)
        init_as_he(self)


def _build(name: str, pretrained: bool, **kwargs: Any) -> ShiftResNetCifar:
    features = {"out_indices": (0, 1, 2)}
    return build_model_with_cfg(ShiftResNetCifar, name, pretrained, feature_cfg=features, **kwargs)


@register_model
def shiftresnet_cifar(pretrained: bool = False, **kwargs: Any) -> ShiftResNetCifar:
    """Any `depth` 6n + 2."""
    return _build("shiftresnet_cifar", pretrained, **kwargs)


@register_model
def shiftresnet20_cifar(pretrained: bool = False, **kwargs: Any) -> ShiftResNetCifar:
    """Expansion 3: 95,642 parameters, 16.4 M MACs at 3x32x32."""
    return _build("shiftresnet20_cifar", pretrained, depth=20, **kwargs)


@register_model
def shiftresnet56_cifar(pretrained: bool = False, **kwargs: Any) -> ShiftResNetCifar:
    """Expansion 3: 0.29 M parameters, 44.7 M MACs at 3x32x32."""
    return _build("shiftresnet56_cifar", pretrained, depth=56, **kwargs)


@register_model
def shiftresnet110_cifar(pretrained: bool = False, **kwargs: Any) -> ShiftResNetCifar:
    """Expansion 3: 0.59 M parameters, 87.2 M MACs at 3x32x32."""
    return _build("shiftresnet110_cifar", pretrained, depth=110, **kwargs)

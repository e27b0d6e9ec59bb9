"""ShiftNet: channels move by whole pixels, 1x1 convolutions mix them (Wu et al. 2018; deck 2).

arXiv:1711.08141, Table 4. Stages 1-5 reduce the image by 2, 4, 8, 16, 32; stages 2-5 are the
paper's groups 1-4. What the paper leaves open is as in an unofficial port to PyTorch; of ShiftNet-C
only the size is known here, so its layers are a guess of that size. He initialisation, fan out.
"""

from collections.abc import Sequence
from typing import Any

import torch
from timm.layers import ClassifierHead
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn

from cnnlab.backbones.blocks import Shift, init_as_he
from cnnlab.backbones.default_cfgs import IMAGENET_CFG
from cnnlab.backbones.staged import StagedNet
from cnnlab.errors import UserError

__all__ = ["ShiftNet"]

default_cfgs = generate_default_cfgs(
    {
        name: IMAGENET_CFG | {"first_conv": "stage1.0"}
        for name in ("shiftnet_a", "shiftnet_b", "shiftnet_c")
    }
)


class ShiftUnit(nn.Module):
    """CSC module (Fig. 3): BN, ReLU, 1x1 to `expansion` times, shift, BN, ReLU, 1x1 (stride).

    Stride 1 adds the input. Stride 2 makes only the new channels: the input, average pooled, is
    concatenated. `(B, C, H, W) -> (B, C', H / s, W / s)`
    """

    def __init__(
        self, in_chans: int, out_chans: int, stride: int, expansion: int, kernel_size: int
    ) -> None:
        super().__init__()
        made = out_chans if stride == 1 else out_chans - in_chans
        mid = expansion * made
        self.bn1 = nn.BatchNorm2d(in_chans)
        self.expand = nn.Conv2d(in_chans, mid, 1, bias=False)
        self.shift = Shift(mid, kernel_size)
        self.bn2 = nn.BatchNorm2d(mid)
        self.project = nn.Conv2d(mid, made, 1, stride, bias=False)
        self.pool = nn.AvgPool2d(3, stride, padding=1) if stride > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.shift(self.expand(self.bn1(x).relu()))
        y = self.project(self.bn2(y).relu())
        return x + y if self.pool is None else torch.cat([self.pool(x), y], dim=1)


class ShiftNet(StagedNet):
    """7x7 stem of 32 channels, four stages of shift units; BN and ReLU end the last.

    `(B, in_chans, H, W) -> (B, num_classes)`

    Args:
        in_chans: image channels.
        num_classes: classes.
        layers: units of each stage.
        width: multiplies all channels.
        kernel_sizes: of the shifts of each stage, or one for all.
        expansion: of the first and of the other units of each stage, or one for all.
    """

    def __init__(
        self,
        in_chans: int = 3,
        num_classes: int = 1000,
        layers: Sequence[int] = (5, 6, 7, 3),
        width: float = 1.0,
        kernel_sizes: int | Sequence[int] = (5, 5, 3, 3),
        expansion: int | Sequence[Sequence[int]] = ((4, 4), (4, 3), (3, 2), (2, 1)),
    ) -> None:
        super().__init__(num_classes)
        kernels = [kernel_sizes] * 4 if isinstance(kernel_sizes, int) else kernel_sizes
        expansions = [(expansion, expansion)] * 4 if isinstance(expansion, int) else expansion
        _check(layers, width, kernels, expansions)
        chans = round(32 * width)
        stem = nn.Sequential(nn.Conv2d(in_chans, chans, 7, 2, padding=3, bias=False))
        self.add_stage(stem, channels=chans, reduction=2)
        for index, (units, kernel, (first, others)) in enumerate(
            zip(layers, kernels, expansions, strict=True)
        ):
            out_chans = 2 * chans
            stage = nn.Sequential(ShiftUnit(chans, out_chans, 2, first, kernel))
            for _ in range(units - 1):
                stage.append(ShiftUnit(out_chans, out_chans, 1, others, kernel))
            if index == 3:
                stage.extend([nn.BatchNorm2d(out_chans), nn.ReLU(inplace=True)])
            self.add_stage(stage, channels=out_chans, reduction=4 * 2**index)
            chans = out_chans
        self.head = ClassifierHead(chans, num_classes)
        init_as_he(self)


def _check(
    layers: Sequence[int], width: float, kernels: Sequence[int], expansions: Sequence[Sequence[int]]
) -> None:
    if len(layers) != 4 or min(layers) < 1:
        raise UserError(f"model.layers={list(layers)}: must be four numbers from 1 on")
    if not 0 < width <= 2:
        raise UserError(f"model.width={width}: must be above 0, at most 2")
    if len(kernels) != 4 or any(kernel < 1 or kernel % 2 == 0 for kernel in kernels):
        raise UserError(f"model.kernel_sizes={list(kernels)}: must be four odd numbers, or one")
    if len(expansions) != 4 or any(len(pair) != 2 or min(pair) < 1 for pair in expansions):
        told = [list(pair) for pair in expansions]
        raise UserError(f"model.expansion={told}: must be four pairs of numbers from 1 on, or one")


def _build(name: str, pretrained: bool, **kwargs: Any) -> ShiftNet:
    features = {"out_indices": (0, 1, 2, 3, 4)}
    return build_model_with_cfg(ShiftNet, name, pretrained, feature_cfg=features, **kwargs)


@register_model
def shiftnet_a(pretrained: bool = False, **kwargs: Any) -> ShiftNet:
    """4.19 M parameters, 1.424 G MACs at 3x224x224 (Table 4; the paper: 4.1 M, 1.4 G)."""
    return _build("shiftnet_a", pretrained, **kwargs)


@register_model
def shiftnet_b(pretrained: bool = False, **kwargs: Any) -> ShiftNet:
    """A at half the width: 1.18 M, 371.0 M MACs at 3x224x224 (the paper: 1.1 M, 371 M)."""
    return _build("shiftnet_b", pretrained, **{"width": 0.5} | kwargs)


@register_model
def shiftnet_c(pretrained: bool = False, **kwargs: Any) -> ShiftNet:
    """Shallower: 0.77 M, 179.1 M MACs at 3x224x224 (the paper: 0.78 M; our guess of its layers)."""
    guess = {"layers": (2, 4, 4, 2), "width": 0.5, "expansion": ((1, 1), (4, 3), (3, 2), (2, 1))}
    return _build("shiftnet_c", pretrained, **guess | kwargs)

"""From ResNet-50 to ConvNeXt-T in single steps (Liu et al. 2022, arXiv:2201.03545, Fig. 2; deck 2).

Every step of the paper's section 2 is a knob, off by default, and any set of them is a net.
Stages 1-4 reduce the image by 4, 8, 16, 32.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from timm.layers import ClassifierHead, DropPath, LayerNorm2d, NormMlpClassifierHead
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn

from cnnlab.backbones.default_cfgs import IMAGENET_CFG
from cnnlab.backbones.staged import StagedNet
from cnnlab.errors import UserError

__all__ = ["ConvNeXtWalk"]

default_cfgs = generate_default_cfgs({"convnext_walk": IMAGENET_CFG | {"first_conv": "stem.conv"}})

_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU}
_NORMS: dict[str, type[nn.Module]] = {"BN": nn.BatchNorm2d, "LN": LayerNorm2d}


@dataclass(frozen=True)
class Design:
    """The steps that change what a block is made of; see `ConvNeXtWalk`."""

    depthwise: bool
    inverted: bool
    depthwise_first: bool
    fewer_activations: bool
    fewer_norms: bool
    separate_downsampling: bool
    activation: str
    norm: str
    layer_scale: float | None

    def conv(
        self, in_chans: int, out_chans: int, size: int, stride: int, bias: bool, groups: int = 1
    ) -> nn.Conv2d:
        """A convolution without padding if it is as large as its stride (patches)."""
        padding = 0 if size == stride else size // 2
        return nn.Conv2d(in_chans, out_chans, size, stride, padding, groups=groups, bias=bias)

    @property
    def bias_before_norm(self) -> bool:
        """BatchNorm takes away the mean that a bias adds; LayerNorm, over channels, does not."""
        return self.norm != "BN"


class Block(nn.Module):
    """1x1, spatial, 1x1 convolution, plus the shortcut; with `depthwise_first` the spatial first.

    A bottleneck has w channels between 4w outside, an inverted one 4w between w (Fig. 3).
    (B, C, H, W) -> (B, C', H/s, W/s)
    """

    def __init__(
        self,
        design: Design,
        in_chans: int,
        width: int,
        kernel_size: int,
        stride: int,
        drop_path: float,
    ) -> None:
        super().__init__()
        hidden, out_chans = (4 * width, width) if design.inverted else (width, 4 * width)
        if design.layer_scale is None:
            self.gamma = None
        else:
            self.gamma = nn.Parameter(torch.full((out_chans, 1, 1), design.layer_scale))
        if design.depthwise_first:
            shapes = [(in_chans, in_chans), (in_chans, hidden), (hidden, out_chans)]
        else:
            shapes = [(in_chans, hidden), (hidden, hidden), (hidden, out_chans)]
        spatial = 0 if design.depthwise_first else 1
        self.body = nn.Sequential()
        for index, (before, after) in enumerate(shapes):
            # One norm is left, behind the spatial convolution; one activation, before the last 1x1.
            norm = index == spatial or not design.fewer_norms
            activation = index == 1 or (index == 0 and not design.fewer_activations)
            bias = design.bias_before_norm or not norm
            if index == spatial:
                groups = before if design.depthwise else 1
                conv = design.conv(before, after, kernel_size, stride, bias, groups)
            else:
                conv = design.conv(before, after, 1, 1, bias)
            self.body.add_module(f"conv{index + 1}", conv)
            if norm:
                self.body.add_module(f"norm{index + 1}", _NORMS[design.norm](after))
            if activation:
                self.body.add_module(f"act{index + 1}", _ACTIVATIONS[design.activation]())
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()
        self.shortcut: nn.Module = nn.Identity()
        if in_chans != out_chans or stride > 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_chans, out_chans, 1, stride, bias=design.bias_before_norm),
                _NORMS[design.norm](out_chans),
            )
        after_sum = None if design.fewer_activations else _ACTIVATIONS[design.activation]()
        self.act = after_sum or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        if self.gamma is not None:
            y = y * self.gamma
        return self.act(self.drop_path(y) + self.shortcut(x))


class ConvNeXtWalk(StagedNet):
    """ResNet-50 as it is, ConvNeXt-T with all steps; the paper's order of steps is that below.

    With BatchNorm a convolution has a bias only where no norm follows it; with LayerNorm always.
    The stem and the projections of shortcuts keep their norm throughout; the stem's activation
    goes with `fewer_activations`. Weights start as in the released ConvNeXt code, normal with
    deviation 0.02, biases 0, in every step, so that two steps differ in one thing.

    Args:
        in_chans: channels of the image.
        num_classes: classes.
        depths: blocks of each stage; stage ratio: (3, 4, 6, 3) -> (3, 3, 9, 3).
        patchify: the stem is a 4x4 convolution of stride 4 instead of 7x7 / 2 and max pooling.
        depthwise: the spatial convolution has as many groups as channels (ResNeXt-ify).
        width: w of the first stage, doubled from stage to stage: 64 -> 96.
        inverted: the block is wide inside, 4w, and narrow outside, w.
        depthwise_first: the spatial convolution comes before both 1x1 convolutions.
        kernel_sizes: of the spatial convolution, one or one a stage: 3 -> 5, 7, 9, 11.
        activation: `relu` -> `gelu`.
        fewer_activations: one a block, before its last 1x1 convolution; none after the sum.
        fewer_norms: one a block, after the spatial convolution.
        norm: `BN` -> `LN` (over channels, at each pixel).
        separate_downsampling: a norm and a convolution as large as its stride (2x2) before each
            stage instead of a stride in its first block, and a norm after global pooling.
        layer_scale: initial value of a factor a channel on the residual (CaiT); None: no factor.
            ConvNeXt as released has 1e-6; Fig. 2 does not count it as a step.
        drop_path: stochastic depth: the last block's probability to be dropped, linear from 0.
        dropout: before the classifier.

    Raises:
        UserError: a value outside the space above.
    """

    def __init__(
        self,
        in_chans: int = 3,
        num_classes: int = 1000,
        depths: Sequence[int] = (3, 4, 6, 3),
        patchify: bool = False,
        depthwise: bool = False,
        width: int = 64,
        inverted: bool = False,
        depthwise_first: bool = False,
        kernel_sizes: int | Sequence[int] = 3,
        activation: Literal["relu", "gelu"] = "relu",
        fewer_activations: bool = False,
        fewer_norms: bool = False,
        norm: Literal["BN", "LN"] = "BN",
        separate_downsampling: bool = False,
        layer_scale: float | None = None,
        drop_path: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(num_classes)
        sizes = [kernel_sizes] * 4 if isinstance(kernel_sizes, int) else list(kernel_sizes)
        if len(depths) != 4 or min(depths) < 1:
            raise UserError(f"model.depths={depths}: must be four numbers from 1 on")
        if len(sizes) != 4 or any(size < 1 or size % 2 == 0 for size in sizes):
            raise UserError(f"model.kernel_sizes={kernel_sizes}: must be one or four odd numbers")
        if activation not in _ACTIVATIONS:
            raise UserError(f"model.activation={activation}: must be {' or '.join(_ACTIVATIONS)}")
        if norm not in _NORMS:
            raise UserError(f"model.norm={norm}: must be {' or '.join(_NORMS)}")
        design = Design(
            depthwise=depthwise,
            inverted=inverted,
            depthwise_first=depthwise_first,
            fewer_activations=fewer_activations,
            fewer_norms=fewer_norms,
            separate_downsampling=separate_downsampling,
            activation=activation,
            norm=norm,
            layer_scale=layer_scale,
        )
        size, stride = (4, 4) if patchify else (7, 2)
        conv = design.conv(in_chans, width, size, stride, bias=design.bias_before_norm)
        self.stem = nn.Sequential()
        self.stem.add_module("conv", conv)
        self.stem.add_module("norm", _NORMS[norm](width))
        if not fewer_activations:
            self.stem.add_module("act", _ACTIVATIONS[activation]())
        if not patchify:
            self.stem.add_module("pool", nn.MaxPool2d(3, 2, padding=1))
        chans, done = width, 0
        for index, (depth, size) in enumerate(zip(depths, sizes, strict=True)):
            stage_width = width * 2**index
            out_chans = stage_width if inverted else 4 * stage_width
            stride = 1 if index == 0 else 2
            stage = nn.Sequential()
            if separate_downsampling and (stride > 1 or chans != out_chans):
                down = design.conv(chans, out_chans, stride, stride, bias=True)
                stage.append(nn.Sequential(_NORMS[norm](chans), down))
                chans, stride = out_chans, 1
            for block in range(depth):
                drop = drop_path * done / max(1, sum(depths) - 1)
                first = stride if block == 0 else 1
                stage.append(Block(design, chans, stage_width, size, first, drop))
                chans, done = out_chans, done + 1
            self.add_stage(stage, channels=chans, reduction=4 * 2**index)
        if separate_downsampling:
            self.head = NormMlpClassifierHead(
                chans, num_classes, drop_rate=dropout, norm_layer=_NORMS[norm]
            )
        else:
            self.head = ClassifierHead(chans, num_classes, drop_rate=dropout)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)


@register_model
def convnext_walk(pretrained: bool = False, **kwargs: Any) -> ConvNeXtWalk:
    """ResNet-50 without knobs: 25.56 M parameters, 4.089 G MACs at 3x224x224."""
    features = {"out_indices": (0, 1, 2, 3)}
    return build_model_with_cfg(
        ConvNeXtWalk, "convnext_walk", pretrained, feature_cfg=features, **kwargs
    )

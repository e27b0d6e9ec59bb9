"""Deformable ResNets (Dai et al. 2017, arXiv:1703.06211; deck 2).

timm's ResNet or ResNeXt whose last `deform` 3x3 convolutions learn where to look. Tensors have
timm's names; those of the offsets begin at zero, so the net begins as the plain one, with the
plain one's weights if they are loaded. As in the paper (sec. 3.1) stage 5 has stride 1 and
dilation 2 in all its 3x3 convolutions: the feature maps have strides 2, 4, 8, 16, 16.
"""

import dataclasses
from typing import Any

import torch
from timm.models import (
    build_model_with_cfg,
    generate_default_cfgs,
    get_pretrained_cfg,
    register_model,
)
from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from torch import Tensor, nn
from torchvision.ops import DeformConv2d, deform_conv2d

from cnnlab.errors import UserError

__all__ = ["DeformResNet", "DeformableConv2d"]

_PLAIN = ("resnet18", "resnet50", "resnet101", "resnext50_32x4d", "resnext101_32x4d")


def _plain_cfg(name: str) -> dict[str, Any]:
    cfg = get_pretrained_cfg(name)
    assert cfg is not None
    return dataclasses.asdict(cfg) | {"architecture": None, "tag": None}


# Images and weights (`model.weights=timm`) are those of the plain net of timm.
default_cfgs = generate_default_cfgs({f"deform_{name}": _plain_cfg(name) for name in _PLAIN})


class DeformableConv2d(DeformConv2d):
    """Deformable convolution (eq. 2): each tap reads at its place plus an offset of its own.

    A convolution of the same kernel, stride and dilation gives the offsets (Fig. 2); it begins at
    zero. Loading a state without offsets, such as a plain convolution's, sets them to zero.

    A diverging net has offsets that are not finite. torchvision's operator reads outside of its
    memory for NaN and kills the process, so it never sees them; the pixels where they stood are
    made NaN instead, and the loss tells.

    (B, C, H, W) -> (B, C', H / stride, W / stride)

    Args:
        conv: the convolution to replace; its weight and bias are taken over.
        dg: offset groups: channels are split into so many groups with offsets of their own.
    """

    def __init__(self, conv: nn.Conv2d, dg: int) -> None:
        geometry = (conv.kernel_size, conv.stride, conv.padding, conv.dilation)
        super().__init__(
            conv.in_channels, conv.out_channels, *geometry, conv.groups, conv.bias is not None
        )
        self.weight, self.bias = conv.weight, conv.bias
        taps = conv.kernel_size[0] * conv.kernel_size[1]
        # In deform_conv2d's order: of each tap first y, then x.
        # A tuple of tuples, unpacked.
        self.offset: nn.Conv2d = nn.Conv2d(conv.in_channels, 2 * taps * dg, *geometry)  # type: ignore[arg-type]
        nn.init.zeros_(self.offset.weight)
        assert self.offset.bias is not None
        nn.init.zeros_(self.offset.bias)
        self.register_load_state_dict_pre_hook(_plain_has_no_offsets)

    def forward(self, x: Tensor) -> Tensor:
        offset = self.offset(x)
        finite = offset.nan_to_num(0.0, 0.0, 0.0)
        # The operator has no bfloat16, and autocast on the CPU does not know it.
        wide = torch.promote_types(x.dtype, torch.float32)
        y = deform_conv2d(
            x.to(wide),
            finite.to(wide),
            self.weight.to(wide),
            None if self.bias is None else self.bias.to(wide),
            self.stride,
            self.padding,
            self.dilation,
        )
        lost = (offset.detach() * 0).sum(1, keepdim=True)  # 0, or NaN
        return (y + lost).to(x.dtype)


def _plain_has_no_offsets(
    module: nn.Module, state: dict[str, Any], prefix: str, *_rest: object
) -> None:
    if not any(key.startswith(f"{prefix}offset.") for key in state):
        for name, value in module.state_dict().items():
            if name.startswith("offset."):
                state[prefix + name] = torch.zeros_like(value)


class DeformResNet(ResNet):
    """timm's ResNet or ResNeXt with deformable 3x3 convolutions at its end.

    `(B, in_chans, H, W) -> (B, num_classes)`

    Args:
        in_chans: channels of the image.
        num_classes: classes; 0: pooled features.
        block: timm's residual block.
        layers: blocks of each stage.
        groups: of the 3x3 convolution (ResNeXt).
        width_per_group: its channels a group in the first stage.
        deform: how many of the last 3x3 convolutions are deformable; the paper (Table 1) tries
            0, 1, 2, 3 (all of stage 5) and 6 (the last three of stage 4 too).
        dg: groups of channels with offsets of their own (4 in the released detectors).
        output_stride: 32, 16 or 8; stages that would reduce further are dilated instead.
        drop_path: stochastic depth.
        dropout: before the classifier.

    Raises:
        UserError: more deformable convolutions than the net has; offset groups that do not divide
            the channels.
    """

    def __init__(
        self,
        in_chans: int = 3,
        num_classes: int = 1000,
        block: type[BasicBlock] | type[Bottleneck] = Bottleneck,
        layers: tuple[int, ...] = (3, 4, 6, 3),
        groups: int = 1,
        width_per_group: int = 64,
        deform: int = 3,
        dg: int = 1,
        output_stride: int = 16,
        drop_path: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        if output_stride not in (8, 16, 32):
            raise UserError(f"model.output_stride={output_stride}: must be 8, 16 or 32")
        super().__init__(
            block,  # type: ignore[arg-type]  # timm types an instance
            layers,
            num_classes,
            in_chans,
            output_stride,
            cardinality=groups,
            base_width=width_per_group,
            drop_rate=dropout,
            drop_path_rate=drop_path,
        )
        stages = [self.get_submodule(str(info["module"])) for info in self.feature_info[1:]]
        for stage in stages:
            convs = _convs_3x3(stage)
            for _, conv in convs:  # timm gives a dilated stage's first the dilation before it
                conv.dilation = conv.padding = convs[-1][1].dilation
        found = [(stage, name, conv) for stage in stages for name, conv in _convs_3x3(stage)]
        if not 0 <= deform <= len(found):
            raise UserError(f"model.deform={deform}: must be 0 to {len(found)}, this net's 3x3s")
        for stage, name, conv in found[len(found) - deform :]:
            if dg < 1 or conv.in_channels % dg:
                raise UserError(f"model.dg={dg}: must divide {conv.in_channels} channels")
            stage.set_submodule(name, DeformableConv2d(conv, dg))

    @property
    def starts_at_zero(self) -> set[str]:
        """Tensors that the plain net's weights do not have; at zero the net is the plain one."""
        return {key for key in self.state_dict() if ".offset." in key}


def _convs_3x3(stage: nn.Module) -> list[tuple[str, nn.Conv2d]]:
    """In the order in which they run; a projection shortcut is 1x1."""
    return [
        (name, module)
        for name, module in stage.named_modules()
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3)
    ]


def _build(name: str, pretrained: bool, **kwargs: Any) -> DeformResNet:
    features = {"out_indices": (0, 1, 2, 3, 4)}
    return build_model_with_cfg(DeformResNet, name, pretrained, feature_cfg=features, **kwargs)


@register_model
def deform_resnet18(pretrained: bool = False, **kwargs: Any) -> DeformResNet:
    """Two 3x3 in a block: `deform=3` reaches into the last but one."""
    own = {"block": BasicBlock, "layers": (2, 2, 2, 2)}
    return _build("deform_resnet18", pretrained, **(own | kwargs))


@register_model
def deform_resnet50(pretrained: bool = False, **kwargs: Any) -> DeformResNet:
    """ResNet-50, stage 5 deformable."""
    own = {"layers": (3, 4, 6, 3)}
    return _build("deform_resnet50", pretrained, **(own | kwargs))


@register_model
def deform_resnet101(pretrained: bool = False, **kwargs: Any) -> DeformResNet:
    """ResNet-101, stage 5 deformable: the paper's default (Table 1)."""
    own = {"layers": (3, 4, 23, 3)}
    return _build("deform_resnet101", pretrained, **(own | kwargs))


@register_model
def deform_resnext50_32x4d(pretrained: bool = False, **kwargs: Any) -> DeformResNet:
    """ResNeXt-50 32x4d, stage 5 deformable."""
    own = {"layers": (3, 4, 6, 3), "groups": 32, "width_per_group": 4}
    return _build("deform_resnext50_32x4d", pretrained, **(own | kwargs))


@register_model
def deform_resnext101_32x4d(pretrained: bool = False, **kwargs: Any) -> DeformResNet:
    """ResNeXt-101 32x4d, stage 5 deformable."""
    own = {"layers": (3, 4, 23, 3), "groups": 32, "width_per_group": 4}
    return _build("deform_resnext101_32x4d", pretrained, **(own | kwargs))

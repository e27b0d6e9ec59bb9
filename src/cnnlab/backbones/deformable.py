"""Deformable ResNets (Dai et al. 2017, arXiv:1703.06211; deck 2).

Any ResNet of timm (ResNeXt, Wide ResNet, SE-ResNet ...) whose last `deform` 3x3 convolutions learn
where to look: `deform_NAME` for the plain ones, `deform_resnet` with the knob `base` for all.
Tensors have timm's names; those of the offsets begin at zero, so the net begins as the plain one,
with the plain one's weights if they are loaded. As in the paper (sec. 3.1) stage 5 has stride 1
and dilation 2 in all its 3x3 convolutions: the feature maps have strides 2, 4, 8, 16, 16.
"""

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any

import timm
import torch
from timm.models import (
    build_model_with_cfg,
    generate_default_cfgs,
    get_pretrained_cfg,
    register_model,
)
from timm.models.resnet import ResNet
from torch import Tensor, nn
from torchvision.ops import DeformConv2d, deform_conv2d

from cnnlab.errors import UserError, nearest

__all__ = ["DeformableConv2d", "deform_last"]

_DEFAULT_BASE = "resnet50"
_PLAIN = (
    "resnet18", "resnet34", "resnet50", "resnet101", "resnet152",
    "resnext50_32x4d", "resnext101_32x4d", "resnext101_32x8d", "resnext101_64x4d",
    "wide_resnet50_2", "wide_resnet101_2", "seresnet50",
)  # fmt: skip
"""Those with a name of their own here; timm has a hundred more, for `base`."""


def _plain_cfg(name: str) -> dict[str, Any]:
    cfg = get_pretrained_cfg(name)
    assert cfg is not None
    return dataclasses.asdict(cfg) | {"architecture": None, "tag": None}


# Images and weights (`model.weights=timm`) are those of the plain net of timm.
default_cfgs = generate_default_cfgs(
    {
        "deform_resnet": _plain_cfg(_DEFAULT_BASE),
        **{f"deform_{name}": _plain_cfg(name) for name in _PLAIN},
    }
)


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


def deform_last(net: ResNet, deform: int, dg: int = 1) -> ResNet:
    """Make the last `deform` 3x3 convolutions of any ResNet of timm deformable, in place.

    Whatever its blocks are: their 3x3 convolutions count, in the order in which they run; those of
    stem and shortcuts do not. A dilated stage's first convolution, to which timm gives the dilation
    before it, gets the stage's own (sec. 3.1). The tensors that the plain net does not have are in
    `net.starts_at_zero`; at zero the net is the plain one.

    Args:
        net: the net to change.
        deform: how many; the paper (Table 1) tries 0, 1, 2, 3 (all of stage 5) and 6 (the last
            three of stage 4 too).
        dg: groups of channels with offsets of their own (4 in the released detectors).

    Raises:
        UserError: more deformable convolutions than the net has; offset groups that do not divide
            the channels.
    """
    stages = [net.get_submodule(str(info["module"])) for info in net.feature_info[1:]]
    for stage in stages:
        convs = _convs_3x3(stage)
        for _, conv in convs:
            conv.dilation = conv.padding = convs[-1][1].dilation
    found = [(stage, name, conv) for stage in stages for name, conv in _convs_3x3(stage)]
    if not 0 <= deform <= len(found):
        raise UserError(f"model.deform={deform}: must be 0 to {len(found)}, this net's 3x3s")
    for stage, name, conv in found[len(found) - deform :]:
        if dg < 1 or conv.in_channels % dg:
            raise UserError(f"model.dg={dg}: must divide {conv.in_channels} channels")
        stage.set_submodule(name, DeformableConv2d(conv, dg))
    changed: Any = net  # nn.Module types attributes as Tensor or Module
    changed.starts_at_zero = {key for key in net.state_dict() if ".offset." in key}
    return net


def _convs_3x3(stage: nn.Module) -> list[tuple[str, nn.Conv2d]]:
    """In the order in which they run, without those of projection shortcuts (SENet-154's)."""
    return [
        (name, module)
        for name, module in stage.named_modules()
        if isinstance(module, nn.Conv2d)
        and module.kernel_size == (3, 3)
        and "downsample" not in name
    ]


def _deform_resnet(
    base: str,
    in_chans: int = 3,
    num_classes: int = 1000,
    layers: Sequence[int] | None = None,
    groups: int | None = None,
    width_per_group: int | None = None,
    deform: int = 3,
    dg: int = 1,
    output_stride: int = 16,
    drop_path: float = 0.0,
    dropout: float = 0.0,
) -> ResNet:
    """The net `base` of timm with deformable 3x3 convolutions at its end.

    `(B, in_chans, H, W) -> (B, num_classes)`

    Args:
        base: timm's name of the plain net.
        in_chans: channels of the image.
        num_classes: classes; 0: pooled features.
        layers: blocks of each stage; None: the plain net's.
        groups: of the 3x3 convolution (ResNeXt); None: the plain net's.
        width_per_group: its channels a group in the first stage; None: the plain net's.
        deform: see `deform_last`.
        dg: see `deform_last`.
        output_stride: 32, 16 or 8; stages that would reduce further are dilated instead.
        drop_path: stochastic depth.
        dropout: before the classifier.

    Raises:
        UserError: not one of these output strides, and see `deform_last`.
    """
    if output_stride not in (8, 16, 32):
        raise UserError(f"model.output_stride={output_stride}: must be 8, 16 or 32")
    net = timm.create_model(  # which drops what is None
        base,
        in_chans=in_chans,
        num_classes=num_classes,
        layers=layers,
        cardinality=groups,
        base_width=width_per_group,
        output_stride=output_stride,
        drop_path_rate=drop_path,
        drop_rate=dropout,
    )
    assert isinstance(net, ResNet)
    return deform_last(net, deform, dg)


def _build(base: str, pretrained: bool = False, **kwargs: Any) -> ResNet:
    """The images and the weights that the net declares are those of `base`."""
    net = partial(_deform_resnet, base)
    features = {"out_indices": (0, 1, 2, 3, 4)}
    return build_model_with_cfg(net, base, pretrained, feature_cfg=features, **kwargs)


@register_model
def deform_resnet(pretrained: bool = False, base: str = _DEFAULT_BASE, **kwargs: Any) -> ResNet:
    """Any ResNet of timm's file resnet.py by its name `base`, stage 5 deformable."""
    bases = timm.list_models(module="resnet")
    if base not in bases:
        raise UserError(f"model.base={base}: must be a ResNet of timm{nearest(base, bases)}")
    return _build(base, pretrained, **kwargs)


def _register(base: str) -> None:
    def build(pretrained: bool = False, **kwargs: Any) -> ResNet:
        return _build(base, pretrained, **kwargs)

    build.__name__ = build.__qualname__ = f"deform_{base}"
    build.__doc__ = f"timm's {base}, stage 5 deformable."
    globals()[build.__name__] = register_model(build)  # which puts the name into __all__


for _base in _PLAIN:
    _register(_base)

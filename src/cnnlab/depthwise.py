"""Depthwise convolutions in float32 where a CPU's bfloat16 ones are slow.

oneDNN's gradient of a depthwise convolution takes several times as long in bfloat16 as in float32
where the kernel is larger than 3 or the stride above 1; `python -m bench depthwise` measures what
that is of a whole step of EfficientNet, MobileNet V2 and ConvNeXt.
"""

import torch
from torch import Tensor, nn


class _InFloat32:
    """Before a convolution's own class: under autocast it computes in float32."""

    def forward(self, x: Tensor) -> Tensor:
        # The next in line is a convolution, which this class does not know of.
        convolve = super().forward  # type: ignore[misc]
        if not torch.is_autocast_enabled("cpu"):
            return convolve(x)
        with torch.autocast("cpu", enabled=False):
            out: Tensor = convolve(x.float())
        return out.to(torch.get_autocast_dtype("cpu"))


_classes: dict[type[nn.Conv2d], type[nn.Conv2d]] = {}


def in_float32(net: nn.Module) -> None:
    """Change those convolutions of `net` in place; parameters and names stay."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d) and not isinstance(module, _InFloat32):
            depthwise = 1 < module.groups == module.in_channels
            if depthwise and (max(module.kernel_size) > 3 or max(module.stride) > 1):
                kind = type(module)
                if kind not in _classes:
                    _classes[kind] = type(kind.__name__, (_InFloat32, kind), {})
                module.__class__ = _classes[kind]

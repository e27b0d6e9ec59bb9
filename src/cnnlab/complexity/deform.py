"""The cost of torchvision's deformable convolution, for torch's counter (Dai et al. 2017; deck 2).

Importing this module registers it: `FlopCounterMode` counts nothing for the operator by itself.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torchvision  # noqa: F401  (defines the operator)
from torch.utils.flop_counter import register_flop_formula


@register_flop_formula(torch.ops.torchvision.deform_conv2d)
def deform_conv2d_flop(
    x: Sequence[int], weight: Sequence[int], *args: Any, out_shape: Sequence[int], **kwargs: Any
) -> int:
    """Two per multiply-add of the convolution itself, from shapes.

    weight `(C_out, C_in / groups, kH, kW)`, output `(B, C_out, H, W)`. Sampling between pixels is
    not counted, as for other interpolation; a convolution of its own makes the offsets.
    """
    batch, _, height, width = out_shape
    c_out, c_in, k_h, k_w = weight
    return 2 * batch * c_out * height * width * c_in * k_h * k_w

"""Layers, blocks and rules that two or more families are made of."""

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from timm.layers import DropPath, SEModule
from torch import Tensor, nn

from cnnlab.errors import UserError


def init_as_he(net: nn.Module) -> None:
    """Convolutions: normal, variance 2 / (k * k * C_out) (He et al. 2015, arXiv:1502.01852)."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


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


def conv_bn_relu(
    in_chans: int,
    out_chans: int,
    kernel_size: int,
    stride: int = 1,
    groups: int = 1,
    act: type[nn.Module] = nn.ReLU,
) -> nn.Sequential:
    """Convolution, BN, ReLU. (B, C, H, W) -> (B, C', ceil(H / s), ceil(W / s))."""
    padding = kernel_size // 2
    return nn.Sequential(
        nn.Conv2d(in_chans, out_chans, kernel_size, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(out_chans),
        act(inplace=True),
    )


def check_se(se: bool, se_reduction: int) -> int | None:
    """The reduction for `squeeze_excitation`; None where the net has none.

    Raises:
        UserError: a reduction below 1.
    """
    if se_reduction < 1:
        raise UserError(f"model.se_reduction={se_reduction}: must be at least 1")
    return se_reduction if se else None


def squeeze_excitation(chans: int, reduction: int | None) -> nn.Module:
    """Scale each channel by what all channels' means say (Hu et al. 2018, arXiv:1709.01507).

    The layer between has `chans` / `reduction` channels (Table 10: 4, 8, 16, 32), rounded down
    exactly: timm's own rule would round 16, 32 and 64 channels up to 8 hidden ones. None: nothing.
    `(B, C, H, W) -> (B, C, H, W)`
    """
    if reduction is None:
        return nn.Identity()
    return SEModule(chans, rd_channels=max(1, chans // reduction))


Shortcut = Literal["A", "B", "none"]
StrideIn = Literal["1x1", "3x3"]


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


def check_shortcut(shortcut: Shortcut, drop_path: float) -> None:
    """Refuse an unknown shortcut, and stochastic depth without one."""
    if shortcut not in ("A", "B", "none"):
        raise UserError(f"model.shortcut={shortcut}: must be A, B or none")
    if drop_path and shortcut == "none":
        raise UserError(f"model.drop_path={drop_path}: a plain net has no path to drop")


class BasicBlock(nn.Module):
    """3x3, BN, ReLU, 3x3, BN (SE), plus the shortcut, ReLU.

    He et al. 2015, arXiv:1512.03385, Fig. 2.
    (B, C, H, W) -> (B, C', H/s, W/s)
    """

    def __init__(
        self,
        in_chans: int,
        out_chans: int,
        stride: int,
        shortcut: Shortcut,
        drop_path: float,
        se_reduction: int | None,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_chans, out_chans, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_chans)
        self.conv2 = nn.Conv2d(out_chans, out_chans, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_chans)
        self.se = squeeze_excitation(out_chans, se_reduction)
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()
        self.shortcut = make_shortcut(shortcut, in_chans, out_chans, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.drop_path(self.se(self.bn2(self.conv2(y))))
        if self.shortcut is not None:
            y = y + self.shortcut(x)
        return F.relu(y, inplace=True)


class Bottleneck(nn.Module):
    """1x1, BN, ReLU, 3x3 in groups, BN, ReLU, 1x1, BN (SE), plus the shortcut, ReLU.

    He et al. 2015, arXiv:1512.03385, Fig. 5; with more than one group ResNeXt's (Xie et al. 2017,
    arXiv:1611.05431, Fig. 3c). (B, C, H, W) -> (B, C', H/s, W/s)

    Args:
        in_chans: channels of the input.
        out_chans: channels of the output.
        mid_chans: channels of the 3x3 convolution.
        stride: of the block.
        stride_in: the convolution that has the stride: the first 1x1 (the paper's) or the 3x3.
        groups: of the 3x3 convolution.
        shortcut: where channels change, zero padding (A) or a projection (B); or none at all.
        drop_path: probability that the path is dropped.
        se_reduction: of the path's squeeze-and-excitation; None: without.
    """

    def __init__(
        self,
        in_chans: int,
        out_chans: int,
        mid_chans: int,
        stride: int,
        stride_in: StrideIn,
        groups: int,
        shortcut: Shortcut,
        drop_path: float,
        se_reduction: int | None,
    ) -> None:
        super().__init__()
        first, second = (stride, 1) if stride_in == "1x1" else (1, stride)
        self.conv1 = nn.Conv2d(in_chans, mid_chans, 1, first, bias=False)
        self.bn1 = nn.BatchNorm2d(mid_chans)
        self.conv2 = nn.Conv2d(
            mid_chans, mid_chans, 3, second, padding=1, groups=groups, bias=False
        )
        self.bn2 = nn.BatchNorm2d(mid_chans)
        self.conv3 = nn.Conv2d(mid_chans, out_chans, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_chans)
        self.se = squeeze_excitation(out_chans, se_reduction)
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()
        self.shortcut = make_shortcut(shortcut, in_chans, out_chans, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        y = self.drop_path(self.se(self.bn3(self.conv3(y))))
        if self.shortcut is not None:
            y = y + self.shortcut(x)
        return F.relu(y, inplace=True)


def check_groups(groups: int, width_per_group: int) -> None:
    """Refuse a 3x3 convolution without channels."""
    for knob, value in (("groups", groups), ("width_per_group", width_per_group)):
        if value < 1:
            raise UserError(f"model.{knob}={value}: must be at least 1")


class Shift(nn.Module):
    """Each of k x k groups of channels moves by its own offset; no parameters.

    Wu et al. 2018, arXiv:1711.08141, Fig. 2. Group i, in reading order, is what a depthwise
    convolution gives whose kernel is 1 at place i and 0 elsewhere: a 1 on the left moves the image
    to the right. Zeros enter at the border. Channels that are left over join the centre group and
    stay. `(B, C, H, W) -> (B, C, H, W)`
    """

    def __init__(self, channels: int, kernel_size: int) -> None:
        super().__init__()
        places = kernel_size**2
        self.kernel_size = kernel_size
        self.sizes = [channels // places] * places
        self.sizes[places // 2] += channels % places

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        moved = []
        for place, group in enumerate(x.split(self.sizes, dim=1)):
            # An empty group would hide from `cat` that the others are channels_last.
            if group.shape[1]:
                row, column = divmod(place, self.kernel_size)
                down = _clip(self.kernel_size // 2 - row, height)
                right = _clip(self.kernel_size // 2 - column, width)
                # A negative pad crops. Unlike a slice's, its gradient keeps channels_last.
                moved.append(F.pad(group, (right, -right, down, -down)))
        return torch.cat(moved, dim=1)

    def extra_repr(self) -> str:
        return f"{sum(self.sizes)}, kernel_size={self.kernel_size}"


def _clip(offset: int, size: int) -> int:
    """The offset within a map of `size`; by more than that, the map is empty all the same."""
    return max(-size, min(size, offset))


_relu = partial(nn.ReLU, inplace=True)


class FullyConnected(nn.Module):
    """AlexNet's: pooling, fc6 and fc7, each with dropout, fc8 (`fc`).

    (B, C, 13, 13) -> (B, num_classes)

    Args:
        in_chans: channels of the last convolution.
        num_classes: classes.
        dropout: probability of a unit of fc6 or fc7 to be dropped.
        activation: after fc6 and fc7.
    """

    def __init__(
        self,
        in_chans: int,
        num_classes: int,
        dropout: float,
        activation: Callable[[], nn.Module] = _relu,
    ) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(3, 2)
        self.fc6 = nn.Linear(in_chans * 6 * 6, 4096)
        self.fc7 = nn.Linear(4096, 4096)
        self.activation = activation()
        self.dropout = nn.Dropout(dropout)
        self.reset(num_classes)

    def reset(self, num_classes: int) -> None:
        """A fresh fc8; none for 0 classes."""
        self.fc = nn.Linear(4096, num_classes) if num_classes else nn.Identity()
        init_as_alexnet(self.fc)

    def forward(self, features: Tensor) -> Tensor:
        maps = self.pool(features).flatten(1)
        fc6 = self.dropout(self.activation(self.fc6(maps)))
        return self.fc(self.dropout(self.activation(self.fc7(fc6))))


def local_response_norm() -> nn.LocalResponseNorm:
    """AlexNet's, section 3.3: k = 2, n = 5, alpha = 1e-4, beta = 0.75; torch divides alpha by n."""
    return nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)


def init_as_alexnet(net: nn.Module) -> None:
    """Convolutions and linear layers: weights from N(0, 0.01), biases 0 (AlexNet, section 5)."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
            # torch types a bias as maybe None.
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]

"""LeNet-5: convolution, subsampling, fully connected (LeCun et al. 1998, sec. II-B; deck 3).

`lenet5` is the paper's net. In the modern form C3 sees all maps of S2, subsampling is a plain
average, the output is linear.
"""

import random
from collections.abc import Callable
from itertools import groupby
from typing import Any

import torch
import torch.nn.functional as F
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn

from cnnlab.backbones.staged import StagedNet

__all__ = ["LeNet5", "LeNet5Modern"]

_DIGITS_CFG = {
    "input_size": (1, 32, 32),
    "num_classes": 10,
    "mean": (0.1307,),  # MNIST
    "std": (0.3081,),
    "crop_pct": 1.0,
    "interpolation": "bilinear",
    "first_conv": "stage1.0",
    "classifier": "head.fc",
}
default_cfgs = generate_default_cfgs({"lenet5": _DIGITS_CFG, "lenet5_modern": _DIGITS_CFG})

_SIDES = range(32, 36)
"""Of the images whose maps after S4 are 5x5."""

# The maps of S2 that each map of C3 sees (Table I).
_TABLE_1 = (
    "012", "123", "234", "345", "450", "501",
    "0123", "1234", "2345", "3450", "4501", "5012", "0134", "1245", "0235",
    "012345",
)  # fmt: skip

# The idea of Fig. 3, redrawn; its pixels are not copied. Digits that look alike have near codes.
_BITMAPS = """
..###.. ...#... .#####. .#####. ....##. ####### ..####. ####### .#####. .#####.
.#...#. ..##... #.....# #.....# ...#.#. #...... .#..... ......# #.....# #.....#
#.....# .#.#... ......# ......# ..#..#. #...... #...... ......# #.....# #.....#
#.....# ...#... ......# ......# .#...#. #...... #...... .....#. #.....# #.....#
#.....# ...#... ......# ......# #....#. ######. #.####. .....#. .#...#. #.....#
#.....# ...#... .....#. ..####. #....#. ......# ##....# ....#.. ..###.. #....##
#.....# ...#... ....#.. ......# ####### ......# #.....# ....#.. .#...#. .####.#
#.....# ...#... ...#... ......# .....#. ......# #.....# ...#... #.....# ......#
#.....# ...#... ..#.... ......# .....#. ......# #.....# ...#... #.....# ......#
#.....# ...#... .#..... ......# .....#. ......# #.....# ..#.... #.....# ......#
.#...#. ...#... #...... #.....# .....#. #.....# #.....# ..#.... #.....# .....#.
..###.. .#####. ####### .#####. .....#. .#####. .#####. ..#.... .#####. .####..
"""


class ScaledTanh(nn.Module):
    """1.7159 tanh(2/3 a), which has f(1) = 1 and f(-1) = -1 (appendix A). `(...) -> (...)`."""

    def forward(self, a: Tensor) -> Tensor:
        return 1.7159 * torch.tanh(a * (2 / 3))


class Subsampling(nn.Module):
    """The sum of 2x2 elements, times a trainable coefficient, plus a trainable bias, a map each.

    (B, C, H, W) -> (B, C, H // 2, W // 2)
    """

    def __init__(self, chans: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(chans))
        self.bias = nn.Parameter(torch.empty(chans))

    def forward(self, x: Tensor) -> Tensor:
        sums = F.avg_pool2d(x, 2, divisor_override=1)
        return sums * self.weight[:, None, None] + self.bias[:, None, None]


class PartialConvolution(nn.Module):
    """C3: each map sees only the maps of S2 that Table I gives it.

    (B, 6, H, W) -> (B, 16, H - 4, W - 4)
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen = [list(maps) for _, maps in groupby(_TABLE_1, key=len)]  # 3, 4 and 6 maps
        self.convs = nn.ModuleList(
            nn.Conv2d(sum(map(len, maps)), len(maps), 5, groups=len(maps)) for maps in self.seen
        )

    def forward(self, x: Tensor) -> Tensor:
        s2 = x.unbind(1)
        return torch.cat(
            [
                conv(torch.stack([s2[int(i)] for i in "".join(maps)], dim=1))
                for maps, conv in zip(self.seen, self.convs, strict=True)
            ],
            dim=1,
        )


class EuclideanRBF(nn.Module):
    """Logits: minus the squared distance to each class's fixed code of -1 and +1.

    Cross-entropy of these logits is the paper's discriminative criterion (Eq. 9) without its
    constant for rubbish. Ten classes are taken for the digits: their codes are 7x12 bitmaps. The
    paper has none for other sets; their codes are drawn, always the same for a class.

    (B, 84) -> (B, out_features)
    """

    codes: Tensor

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        if out_features == 10:
            rows = [row.split() for row in _BITMAPS.split("\n")[1:-1]]
            bitmaps = ["".join(row[digit] for row in rows) for digit in range(10)]
            codes = [[1.0 if pixel == "#" else -1.0 for pixel in bitmap] for bitmap in bitmaps]
        else:
            draw = random.Random(1998)
            codes = [draw.choices((-1.0, 1.0), k=in_features) for _ in range(out_features)]
        self.register_buffer("codes", torch.tensor(codes))

    def forward(self, x: Tensor) -> Tensor:
        return -(x[:, None, :] - self.codes).square().sum(dim=2)


class FullyConnected(nn.Module):
    """C5 (5x5 over a 5x5 map), F6, output. `(B, 16, 5, 5) -> (B, num_classes)`."""

    def __init__(
        self,
        num_classes: int,
        squash: Callable[[], nn.Module],
        output: Callable[[int, int], nn.Module],
    ) -> None:
        super().__init__()
        self.c5 = nn.Conv2d(16, 120, 5)
        self.f6 = nn.Linear(120, 84)
        self.squash = squash()
        self.output = output
        self.reset(num_classes)

    def reset(self, num_classes: int) -> None:
        """A fresh output layer; none for 0 classes."""
        self.fc = self.output(84, num_classes) if num_classes else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        c5 = self.squash(self.c5(features)).flatten(1)
        return self.fc(self.squash(self.f6(c5)))


class LeNet5(StagedNet):
    """C1, S2, C3, S4, each squashed; C5, F6; one RBF unit a class, with a fixed code.

    The paper squashes all units up to F6, those of C1 and C3 included. Weights and biases begin
    uniform in +-2.4 / (inputs of the unit) (appendix A). Reads 32x32 digits; as a feature
    extractor, images of any size from 16x16.

    `(B, in_chans, H, W) -> (B, num_classes)`
    """

    sides = _SIDES

    def __init__(self, in_chans: int = 1, num_classes: int = 10) -> None:
        super().__init__(num_classes)
        s2 = nn.Sequential(nn.Conv2d(in_chans, 6, 5), ScaledTanh(), Subsampling(6), ScaledTanh())
        s4 = nn.Sequential(PartialConvolution(), ScaledTanh(), Subsampling(16), ScaledTanh())
        self.add_stage(s2, channels=6, reduction=2)
        self.add_stage(s4, channels=16, reduction=4)
        self.head = FullyConnected(num_classes, ScaledTanh, EuclideanRBF)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear | Subsampling):
                inputs = 4 if isinstance(module, Subsampling) else module.weight[0].numel()
                for parameter in module.parameters():
                    nn.init.uniform_(parameter, -2.4 / inputs, 2.4 / inputs)


class LeNet5Modern(StagedNet):
    """5x5 convolution, tanh, 2x2 average, twice (no padding); three fully connected layers.

    Reads 32x32 digits; as a feature extractor, images of any size from 16x16.

    `(B, in_chans, H, W) -> (B, num_classes)`
    """

    sides = _SIDES

    def __init__(self, in_chans: int = 1, num_classes: int = 10) -> None:
        super().__init__(num_classes)
        self.add_stage(_convolve_and_average(in_chans, 6), channels=6, reduction=2)
        self.add_stage(_convolve_and_average(6, 16), channels=16, reduction=4)
        self.head = FullyConnected(num_classes, nn.Tanh, nn.Linear)


def _convolve_and_average(in_chans: int, out_chans: int) -> nn.Sequential:
    """(B, C, H, W) -> (B, C', (H - 4) // 2, (W - 4) // 2)."""
    return nn.Sequential(nn.Conv2d(in_chans, out_chans, 5), nn.Tanh(), nn.AvgPool2d(2))


@register_model
def lenet5(pretrained: bool = False, **kwargs: Any) -> LeNet5:
    """60,000 parameters, 0.33 M MACs at 1x32x32."""
    return build_model_with_cfg(
        LeNet5, "lenet5", pretrained, feature_cfg={"out_indices": (0, 1)}, **kwargs
    )


@register_model
def lenet5_modern(pretrained: bool = False, **kwargs: Any) -> LeNet5Modern:
    """61,706 parameters, 0.42 M MACs at 1x32x32."""
    return build_model_with_cfg(
        LeNet5Modern, "lenet5_modern", pretrained, feature_cfg={"out_indices": (0, 1)}, **kwargs
    )

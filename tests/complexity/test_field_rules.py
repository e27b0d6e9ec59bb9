"""Each rule against what gradients say: which pixels move an output element at all."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import DeformConv2d

from cnnlab.complexity.receptive_field import ReceptiveFields


class Apply(nn.Module):
    """A function between two convolutions, so that wrong strides show."""

    def __init__(self, function, in_chans=4, kernel=3):
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, stride=2, padding=1)
        self.function = function
        self.second = nn.Conv2d(in_chans, 2, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.function(self.first(x)))


def seen(net: nn.Module, size: int) -> tuple[int, int]:
    """Largest height and width of pixels with a gradient, over output positions and 8 images."""
    for p in net.parameters():
        nn.init.uniform_(p, 0.1, 1.0)  # positive: nothing cancels
    net = net.double().eval()
    images = torch.rand(8, 2, size, size, dtype=torch.float64, requires_grad=True)
    out = net(images).sum(1)
    largest = [0, 0]
    for row in range(out.shape[-2]):
        for column in range(out.shape[-1]):
            (grad,) = torch.autograd.grad(out[:, row, column].sum(), images, retain_graph=True)
            touched = grad.abs().sum((0, 1)) > 0
            for axis in (0, 1):
                where = touched.any(1 - axis).nonzero()
                largest[axis] = max(largest[axis], int(where.max() - where.min()) + 1)
    return largest[0], largest[1]


def counted(net: nn.Module, size: int) -> tuple[int, int]:
    with torch.no_grad(), torch.device("meta"), ReceptiveFields() as fields:
        image = torch.empty(1, 2, size, size)
        fields.start(image)
        return fields.pixels(net.to("meta").float()(image))


def channels_last_linear(x):
    return F.linear(x.permute(0, 2, 3, 1), x.new_ones(4, 4)).permute(0, 3, 1, 2)


def channel_shuffle(x):
    b, c, h, w = x.shape
    return x.view(b, 2, c // 2, h, w).transpose(1, 2).reshape(b, c, h, w)


def shift(x):
    out = torch.zeros_like(x)
    out[:, :2, 1:] = x[:, :2, :-1]
    out[:, 2:, :, :-1] = x[:, 2:, :, 1:]
    return out


def branches(x):
    left = F.conv2d(x, x.new_ones(4, 4, 3, 1), padding=(1, 0))
    right = F.max_pool2d(F.pad(x, (2, 0, 0, 0)), (1, 3), stride=1)
    return torch.cat([left + right, x], dim=1)


def windows(x):
    """Attention without softmax within windows of 4x4 (deck 2's Swin)."""
    b, c, h, w = x.shape
    x = x.view(b, c, h // 4, 4, w // 4, 4).permute(0, 2, 4, 3, 5, 1).reshape(-1, 16, c)
    x = (x @ x.transpose(1, 2)) @ x
    x = x.view(b, h // 4, w // 4, 4, 4, c).permute(0, 5, 1, 3, 2, 4)
    return x.reshape(b, c, h, w)


def factorised_reduction(x):
    shifted = F.pad(x, (-1, 1, -1, 1))
    return torch.cat([F.avg_pool2d(x, 1, 2), F.avg_pool2d(shifted, 1, 2)], 1)


EXACT = {
    "nothing": (lambda x: x, 4),
    "dilated": (lambda x: F.conv2d(x, x.new_ones(4, 4, 3, 3), padding=2, dilation=2), 4),
    "grouped": (lambda x: F.conv2d(x, x.new_ones(4, 1, 5, 1), padding=(2, 0), groups=4), 4),
    "max_pool": (lambda x: F.max_pool2d(x, 3, 2, 1), 4),
    "max_pool_ceil": (lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True), 4),
    "avg_pool": (lambda x: F.avg_pool2d(x, 2), 4),
    "adaptive": (lambda x: F.adaptive_avg_pool2d(x, 4), 4),
    "in_place": (lambda x: F.relu_(x.add_(1).mul_(2)), 4),
    "channels_last_linear": (channels_last_linear, 4),
    "channel_shuffle": (channel_shuffle, 4),
    "shift": (shift, 4),
    "branches": (branches, 8),
    "factorised_reduction": (factorised_reduction, 8),
    "subsampling": (lambda x: F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 1, 1)), 6),
    "reflected": (lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect")[..., 1:-1, 1:-1], 4),
    "unshuffle": (lambda x: F.pixel_unshuffle(x, 2), 16),
    "unfolded": (lambda x: torch.stack(x.split([2, 2], 1), 1).flatten(1, 2), 4),
    "local_response_norm": (lambda x: F.local_response_norm(x, 3), 4),
    "layer_norm": (lambda x: F.layer_norm(x.permute(0, 2, 3, 1), (4,)).permute(0, 3, 1, 2), 4),
    "one_axis": (lambda x: x * x.mean(2, keepdim=True), 4),
}


@pytest.mark.parametrize("name", EXACT)
def test_exact(name):
    function, in_chans = EXACT[name]
    # Large enough that some window is not cut at the border.
    size = 48
    assert counted(Apply(function, in_chans), size) == seen(Apply(function, in_chans), size)


WHOLE = {
    "selected": lambda x: x + x[:, :, 3:4] + x[:, :, :, 2].unsqueeze(3),
    "group_norm": lambda x: F.group_norm(x, 2),
    "squeeze_excite": lambda x: x * x.mean((2, 3), keepdim=True).sigmoid(),
    "attention": lambda x: (x.flatten(2) @ x.flatten(2).mT.softmax(-1) @ x.flatten(2)).view_as(x),
    "batch_statistics": lambda x: F.batch_norm(x, None, None, training=True),
    "no_rule": lambda x: torch.fft.fft2(x).real,
    "dynamic_weights": lambda x: F.conv2d(x, x.mean((0, 2, 3)).expand(4, 4)[..., None, None]),
}


@pytest.mark.parametrize("name", WHOLE)
def test_whole_image(name):
    assert counted(Apply(WHOLE[name]), 24) == (24, 24)


BOUND = {
    "nearest": lambda x: F.interpolate(x, scale_factor=2),
    "bilinear": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "bilinear_corners": lambda x: F.interpolate(x, (20, 20), mode="bilinear", align_corners=True),
    "bicubic": lambda x: F.interpolate(x, scale_factor=2, mode="bicubic"),
    "transposed_2": lambda x: F.conv_transpose2d(x, x.new_ones(4, 4, 2, 2), stride=2),
    "transposed_4": lambda x: F.conv_transpose2d(x, x.new_ones(4, 4, 4, 4), stride=2, padding=1),
    "pixel_shuffle": lambda x: F.pixel_shuffle(x.repeat_interleave(4, 1), 2),
    "adaptive_uneven": lambda x: F.adaptive_avg_pool2d(x, 5),
    "windows": windows,
    "skip": lambda x: F.interpolate(F.max_pool2d(x, 2), scale_factor=2) + x,
}


@pytest.mark.parametrize("name", BOUND)
def test_uneven_windows_are_bounded(name):
    found = counted(Apply(BOUND[name]), 32)
    exact = seen(Apply(BOUND[name]), 32)
    assert exact[0] <= found[0] <= exact[0] + 4


def test_deformable_counts_as_its_grid():
    class Deformed(nn.Module):
        def __init__(self):
            super().__init__()
            self.offset = nn.Conv2d(2, 18, 3, padding=1)
            self.conv = DeformConv2d(2, 2, 3, padding=2, dilation=2)

        def forward(self, x):
            return self.conv(x, self.offset(x))

    assert counted(Deformed(), 16) == (5, 5)


def test_constant_output_sees_nothing():
    with torch.device("meta"), ReceptiveFields() as fields:
        image = torch.empty(1, 2, 8, 8)
        fields.start(image)
        assert fields.pixels(torch.zeros_like(image) + 1) == (0, 0)

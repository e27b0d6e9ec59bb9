import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

from cnnlab.backbones.blocks import Shift
from cnnlab.backbones.shiftnet import ShiftUnit
from cnnlab.complexity.count import count
from cnnlab.errors import UserError


def build(name, **knobs):
    with torch.device("meta"):
        return timm.create_model(name, **knobs)


def cost(name, **knobs):
    found = count(build(name, **knobs), (3, 224, 224))
    return found.params, found.macs


def params(name, **knobs):
    return sum(p.numel() for p in build(name, **knobs).parameters())


def shift_by_convolution(x, kernel_size):
    """Equation 3: a depthwise convolution whose kernels are 1 at one place."""
    channels, places = x.shape[1], kernel_size**2
    kernels = x.new_zeros(channels, places)
    for channel in range(channels):
        group = 0
        for place in range(places):
            group += channels // places + (channels % places if place == places // 2 else 0)
            if channel < group:
                kernels[channel, place] = 1
                break
    kernels = kernels.view(channels, 1, kernel_size, kernel_size)
    return F.conv2d(x, kernels, padding=kernel_size // 2, groups=channels)


@pytest.mark.parametrize("size", [(6, 5), (3, 7), (1, 2), (1, 1)])
@pytest.mark.parametrize(
    ("channels", "kernel"), [(9, 3), (20, 3), (7, 3), (27, 5), (50, 5), (4, 1)]
)
def test_shift_is_the_papers_convolution(channels, kernel, size):
    x = torch.randn(2, channels, *size, requires_grad=True)
    upstream = torch.randn(2, channels, *size)
    shifted, convolved = Shift(channels, kernel)(x), shift_by_convolution(x, kernel)
    assert torch.equal(shifted, convolved)
    gradient, expected = (torch.autograd.grad(y, x, upstream)[0] for y in (shifted, convolved))
    assert torch.equal(gradient, expected)


def test_a_one_on_the_left_moves_the_image_to_the_right():
    x = torch.arange(9.0).view(1, 1, 3, 3).repeat(1, 9, 1, 1)
    moved = Shift(9, 3)(x)
    assert moved[0, 3].tolist() == [[0, 0, 1], [0, 3, 4], [0, 6, 7]]
    assert torch.equal(moved[0, 4], x[0, 4])


def test_channels_left_over_stay():
    x = torch.randn(1, 20, 4, 4)  # groups of 2; 2 more in the centre
    unmoved = [torch.equal(a, b) for a, b in zip(Shift(20, 3)(x)[0], x[0], strict=True)]
    assert [channel for channel, same in enumerate(unmoved) if same] == [8, 9, 10, 11]


@pytest.mark.parametrize("channels", [18, 20])
def test_shift_keeps_channels_last(channels):
    x = torch.randn(2, channels, 4, 5).to(memory_format=torch.channels_last).requires_grad_()
    moved = Shift(channels, 3)(x)
    assert moved.is_contiguous(memory_format=torch.channels_last)
    (gradient,) = torch.autograd.grad(moved, x, torch.ones_like(moved))
    assert gradient.is_contiguous(memory_format=torch.channels_last)


def test_shift_is_free():
    row = count(nn.Sequential(nn.Conv2d(3, 50, 1), Shift(50, 5)), (3, 8, 8)).layers[-1]
    assert (row.type, row.params, row.macs, row.activations) == ("Shift", 0, 0, 0)
    assert row.receptive_field == (5, 5)


@pytest.mark.parametrize("stride", [1, 2])
def test_unit_is_the_papers(stride):
    torch.manual_seed(0)
    unit = ShiftUnit(12, 12 * stride, stride, expansion=3, kernel_size=3)
    x = torch.randn(2, 12, 7, 6)
    for _ in range(2):  # BatchNorm statistics that are not 0 and 1
        unit(x + 1)
    unit.eval()
    y = F.conv2d(unit.bn1(x).relu(), unit.expand.weight)
    assert y.shape[1] == 36
    y = unit.bn2(shift_by_convolution(y, 3)).relu()
    y = F.conv2d(y, unit.project.weight, stride=stride)
    expected = x + y if stride == 1 else torch.cat([F.avg_pool2d(x, 3, 2, 1), y], dim=1)
    torch.testing.assert_close(unit(x), expected)


def test_cost_is_the_papers():
    """Table 5 and text. ShiftNet-A is 2 % larger than printed, B's 1.18 M is printed as 1.1 M."""
    assert cost("shiftnet_a") == (pytest.approx(4.1e6, rel=0.025), pytest.approx(1.4e9, rel=0.02))
    assert cost("shiftnet_b")[1] == pytest.approx(371e6, rel=0.001)
    assert cost("shiftnet_c")[0] == pytest.approx(0.78e6, rel=0.015)  # a guess of its layers


def test_knobs_turn():
    assert params("shiftnet_a", width=0.5) == params("shiftnet_b")
    sizes = [params("shiftnet_b", expansion=e) for e in (1, 2, 3)]
    assert sizes[2] - sizes[1] == sizes[1] - sizes[0] > 0
    lists = {"layers": [2, 2, 2, 2], "expansion": [[1, 2]] * 4, "kernel_sizes": [3, 3, 3, 3]}
    assert params("shiftnet_c", **lists) == params("shiftnet_c", **lists | {"kernel_sizes": 7})
    kernels = [m.kernel_size for m in build("shiftnet_a").modules() if isinstance(m, Shift)]
    assert kernels == [5] * 11 + [3] * 10


@pytest.mark.parametrize(
    ("knob", "value"),
    [
        ("layers", [5, 6, 7]),
        ("layers", [5, 6, 7, 0]),
        ("width", 64),
        ("kernel_sizes", 4),
        ("kernel_sizes", [3, 3]),
        ("expansion", 0),
        ("expansion", [[4, 4]] * 3),
        ("expansion", [[4]] * 4),
    ],
)
def test_wrong_knobs_are_one_line(knob, value):
    with pytest.raises(UserError, match=rf"model\.{knob}=\S.*: must be"):
        build("shiftnet_a", **{knob: value})

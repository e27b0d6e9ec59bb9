import pytest
import timm
import torch
import torch.nn.functional as F

from cnnlab.backbones.shiftresnet_cifar import ShiftBlock
from cnnlab.complexity.count import count
from cnnlab.errors import UserError


def cost(name, **knobs):
    with torch.device("meta"):
        found = count(timm.create_model(name, **knobs), (3, 32, 32))
    return found.params, found.macs


def by_hand(depth, expansion):
    """Parameters and MACs at 3x32x32 for 10 classes: 1x1 convolutions, stem and classifier."""
    params, macs = 27 * 16 + 2 * 16, 27 * 16 * 32 * 32
    before, size = 16, 32
    for chans in (16, 32, 64):
        for _ in range((depth - 2) // 6):
            mid = expansion * chans
            params += before * mid + 2 * mid + mid * chans + 2 * chans
            macs += before * mid * size * size  # before the stride
            if before != chans:
                size //= 2
                params += before * chans + 2 * chans
                macs += before * chans * size * size
            macs += mid * chans * size * size
            before = chans
    return params + 650, macs + 640


@pytest.mark.parametrize(
    ("depth", "expansion", "printed"),
    [  # README of the authors' code
        (20, 1, 0.03e6),
        (20, 3, 95_642),
        (20, 6, 0.19e6),
        (20, 9, 0.28e6),
        (56, 3, 0.29e6),
        (110, 3, 0.59e6),
    ],
)
def test_cost_is_the_authors(depth, expansion, printed):
    params, macs = cost(f"shiftresnet{depth}_cifar", expansion=expansion)
    assert params == printed if printed % 10_000 else round(params, -4) == printed
    assert (params, macs) == by_hand(depth, expansion)


def test_any_depth():
    assert cost("shiftresnet_cifar", depth=14, expansion=2) == by_hand(14, 2)


@pytest.mark.parametrize("stride", [1, 2])
def test_block_is_the_authors(stride):
    torch.manual_seed(0)
    block = ShiftBlock(6, 6 * stride, stride, expansion=3)
    x = torch.randn(2, 6, 7, 6)
    for _ in range(2):  # BatchNorm statistics that are not 0 and 1
        block(x + 1)
    block.eval()
    y = block.bn1(F.conv2d(x, block.expand.weight)).relu()
    kernels = torch.eye(9).repeat_interleave(2 * stride, dim=0).view(-1, 1, 3, 3)
    y = F.conv2d(y, kernels, padding=1, groups=18 * stride)
    y = block.bn2(F.conv2d(y, block.project.weight, stride=stride)).relu()
    if stride == 2:
        conv, bn = block.shortcut
        y = y + bn(F.conv2d(x, conv.weight, stride=2))
    torch.testing.assert_close(block(x), y if stride == 2 else x + y)


def test_a_depthwise_convolution_in_the_shifts_place():
    """A shift is a depthwise convolution of fixed kernels: these cost 9 numbers a channel more."""
    (params, macs), (more, most) = (
        cost("shiftresnet_cifar", depth=14, depthwise=depthwise) for depthwise in (False, True)
    )
    blocks = [(chans, size) for chans, size in ((16, 32), (32, 16), (64, 8)) for _ in range(2)]
    inner = [(3 * chans, size) for chans, size in blocks]
    assert more - params == 9 * sum(chans for chans, _ in inner)
    # The first block of stages 2 and 3 works before its stride.
    before = {2: 32, 4: 16}
    assert most - macs == 9 * sum(
        chans * before.get(block, size) ** 2 for block, (chans, size) in enumerate(inner)
    )
    shift, depthwise = (ShiftBlock(6, 6, 1, expansion=3, depthwise=d).eval() for d in (False, True))
    kernels = torch.eye(9).repeat_interleave(2, dim=0).view(-1, 1, 3, 3)
    depthwise.load_state_dict(shift.state_dict() | {"shift.weight": kernels})
    x = torch.randn(2, 6, 7, 6)
    torch.testing.assert_close(depthwise(x), shift(x))


@pytest.mark.parametrize("depth", [21, 2, -4])
def test_wrong_depth_is_one_line(depth):
    with pytest.raises(UserError, match=f"model.depth={depth}: must be 6n \\+ 2; nearest: \\d+"):
        cost("shiftresnet_cifar", depth=depth)


def test_wrong_expansion_is_one_line():
    with pytest.raises(UserError, match=r"model\.expansion=0: must be 1 or more"):
        cost("shiftresnet_cifar", expansion=0)

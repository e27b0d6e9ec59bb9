import pytest
import torch
from torch import nn
from torchvision.ops import DeformConv2d

from cnnlab.complexity.count import count


class Deformable(nn.Module):
    def __init__(self, in_chans, out_chans, groups=1, offset_groups=1, stride=1):
        super().__init__()
        self.offset = nn.Conv2d(in_chans, 18 * offset_groups, 3, stride, 1)
        self.conv = DeformConv2d(in_chans, out_chans, 3, stride, 1, groups=groups)

    def forward(self, x):
        return self.conv(x, self.offset(x))


@pytest.mark.parametrize(
    ("offset_groups", "params", "macs"), [(1, 82_962, 16_257_024), (4, 331_848, 65_028_096)]
)
def test_offsets_cost_the_reference(offset_groups, params, macs):
    """Formula F26: 512 channels at 14x14."""
    rows = {
        row.name: row
        for row in count(Deformable(512, 512, offset_groups=offset_groups), (512, 14, 14)).layers
    }
    assert (rows["offset"].params, rows["offset"].macs) == (params, macs)
    # The deformable layer itself costs what a plain 3x3 costs.
    assert rows["conv"].macs == 512 * 512 * 9 * 14 * 14
    assert rows["conv"].activations == 512 * 14 * 14
    assert rows["conv"].receptive_field == (3, 3)


def test_groups_and_stride():
    rows = count(Deformable(8, 16, groups=4, stride=2), (8, 10, 12)).layers
    assert rows[-1].macs == 8 * 16 * 9 * 5 * 6 // 4
    assert rows[-1].output == (16, 5, 6)


def test_resnet101_with_three_deformable_layers():
    """Deck 2, Table T13 (reference: 42,749,046 parameters, 9.968 GMACs at 224)."""
    import timm

    with torch.device("meta"):
        net = timm.create_model("resnet101", output_stride=16, features_only=True)
        for block in net.layer4:
            block.conv2 = _Dilated()
    cost = count(net, (3, 224, 224))
    assert cost.params == 42_749_046
    assert round(cost.macs / 1e9, 3) == 9.968


class _Dilated(nn.Module):
    def __init__(self):
        super().__init__()
        self.offset = nn.Conv2d(512, 18, 3, padding=1)
        self.conv = DeformConv2d(512, 512, 3, padding=2, dilation=2, bias=False)

    def forward(self, x):
        return self.conv(x, self.offset(x))

import pytest
import timm
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from cnnlab.errors import UserError


def test_cost_layer_by_layer():
    net = timm.create_model("lenet5_modern")
    sizes = {key: p.numel() for key, p in net.named_parameters()}
    layers: dict[str, int] = {}
    for key, size in sizes.items():
        layer = key.rpartition(".")[0]
        layers[layer] = layers.get(layer, 0) + size
    # C1, C3 with all maps of S2, C5, F6, output
    assert list(layers.values()) == [156, 2416, 48_120, 10_164, 850]
    assert sum(sizes.values()) == 61_706
    with FlopCounterMode(display=False) as flops:
        net(torch.rand(1, 1, 32, 32))
    by_hand = 28 * 28 * 150 + 10 * 10 * 2400 + 48_000 + 10_080 + 840
    assert flops.get_total_flops() // 2 == by_hand == 416_520


def test_forward_is_the_papers():
    net = timm.create_model("lenet5_modern", num_classes=7)
    c1, c1_bias, c3, c3_bias, c5, c5_bias, f6, f6_bias, out, out_bias = net.parameters()
    images = torch.randn(3, 1, 32, 32)
    s2 = F.avg_pool2d(F.conv2d(images, c1, c1_bias).tanh(), 2)
    s4 = F.avg_pool2d(F.conv2d(s2, c3, c3_bias).tanh(), 2)
    flat = s4.flatten(1) @ c5.flatten(1).T + c5_bias
    logits = (flat.tanh() @ f6.T + f6_bias).tanh() @ out.T + out_bias
    torch.testing.assert_close(net(images), logits)


@pytest.mark.parametrize("size", [28, 31, 36, 64])
def test_wrong_size_is_one_line(size):
    net = timm.create_model("lenet5_modern")
    assert net(torch.rand(1, 1, 35, 32)).shape == (1, 10)
    with pytest.raises(UserError, match="lenet5_modern classifies images of 32x32 to 35x35"):
        net(torch.rand(1, 1, size, size))

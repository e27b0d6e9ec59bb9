import math

import pytest
import timm
import torch

from cnnlab.backbones.efficientnet_scaled import compound, image_size
from cnnlab.complexity.count import count
from cnnlab.errors import UserError

# Released code (width, depth, image), with Tan and Le 2019, Table 2: parameters in M. The counted
# MACs are in tests of timm's own B0 ... B7.
B = {
    "b0": (1.0, 1.0, 224, 5.3),
    "b1": (1.0, 1.1, 240, 7.8),
    "b2": (1.1, 1.2, 260, 9.2),
    "b3": (1.2, 1.4, 300, 12),
    "b4": (1.4, 1.8, 380, 19),
    "b5": (1.6, 2.2, 456, 30),
    "b6": (1.8, 2.6, 528, 43),
    "b7": (2.0, 3.1, 600, 66),
}


def meta(name="efficientnet_scaled", **knobs):
    with torch.device("meta"):
        return timm.create_model(name, **knobs)


@pytest.mark.parametrize("name", B)
def test_published_numbers_give_the_published_net(name):
    width, depth, size, params_m = B[name]
    net = meta(width_multiplier=width, depth_multiplier=depth, resolution_multiplier=size / 224)
    theirs = meta(f"efficientnet_{name}")
    shapes = [value.shape for value in net.state_dict().values()]
    assert shapes == [value.shape for value in theirs.state_dict().values()]
    assert net.default_cfg["input_size"] == (3, size, size)
    params = sum(p.numel() for p in net.parameters()) / 1e6
    assert params == pytest.approx(params_m, rel=0.02)


def test_equal_weights_give_timms_logits():
    torch.manual_seed(0)
    theirs = timm.create_model("efficientnet_b1").eval()
    for value in theirs.buffers():
        if value.is_floating_point():
            value.uniform_(0.5, 1.5)
    ours = timm.create_model("efficientnet_scaled", depth_multiplier=1.1).eval()
    values = theirs.state_dict().values()
    ours.load_state_dict(dict(zip(ours.state_dict(), values, strict=True)))
    images = torch.randn(2, 3, 64, 79)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images), rtol=1e-4, atol=1e-4)


def test_compound_coefficients_double_the_cost():
    """alpha beta^2 gamma^2 = 1.92 (formulas.csv, F17); rounding makes the net's own factor near."""
    d, w, r = compound(1)
    assert d * w**2 * r**2 == pytest.approx(1.92027, abs=1e-5)
    assert compound(2) == pytest.approx((1.44, 1.21, 1.3225))
    costs = []
    for phi in (0, 1, 2):
        net = meta(phi=phi)
        costs.append(count(net, net.default_cfg["input_size"]).macs)
    assert costs[1] / costs[0] == pytest.approx(2, rel=0.35)
    assert costs[2] / costs[0] == pytest.approx(4, rel=0.35)


def test_a_multiplier_takes_the_place_of_phis():
    def blocks(net):
        return sum(len(net.get_submodule(f"stage{i}")) for i in range(1, 6))

    assert blocks(meta()) == 16
    repeats = (1, 2, 2, 3, 3, 4, 1)
    assert blocks(meta(phi=2)) == sum(math.ceil(1.44 * n) for n in repeats)
    assert blocks(meta(phi=2, depth_multiplier=1.0)) == 16
    assert meta(phi=2, width_multiplier=1.0).num_features == 320
    assert meta(phi=2).num_features == 384  # 1.21 x 320 = 387.2 to the nearest multiple of 8


def test_the_net_says_which_images_it_wants():
    assert image_size() == 224
    assert image_size(phi=1) == 258
    assert image_size(phi=1, resolution_multiplier=1.0) == 224
    assert meta(phi=2).default_cfg["input_size"] == (3, 296, 296)
    assert meta(phi=2, features_only=True).default_cfg["input_size"] == (3, 296, 296)
    assert meta().default_cfg["input_size"] == (3, 224, 224)  # nothing stuck


def test_resolution_changes_no_weight():
    small, large = meta(), meta(resolution_multiplier=2.0)
    assert [p.shape for p in small.parameters()] == [p.shape for p in large.parameters()]


def test_features_of_odd_sizes():
    features = meta(features_only=True, width_multiplier=0.5, in_chans=1)
    maps = features(torch.empty(1, 1, 97, 128, device="meta"))
    assert [tensor.shape[1] for tensor in maps] == features.feature_info.channels()
    assert [tuple(tensor.shape[2:]) for tensor in maps] == [
        (math.ceil(97 / stride), 128 // stride) for stride in (2, 4, 8, 16, 32)
    ]


def test_every_parameter_gets_a_gradient():
    torch.manual_seed(0)
    net = timm.create_model("efficientnet_scaled", num_classes=5, in_chans=1, width_multiplier=0.25)
    net(torch.rand(4, 1, 64, 64)).square().sum().backward()
    assert not [key for key, p in net.named_parameters() if p.grad is None or not p.grad.any()]


def test_classifier_can_be_removed():
    net = meta(num_classes=0)
    assert net(torch.empty(2, 3, 64, 64, device="meta")).shape == (2, 1280)
    with torch.device("meta"):
        net.reset_classifier(7)
    assert net(torch.empty(2, 3, 64, 64, device="meta")).shape == (2, 7)


@pytest.mark.parametrize("word", ["depth", "width", "resolution"])
def test_wrong_multiplier_is_one_line(word):
    knob = f"{word}_multiplier"
    with pytest.raises(UserError, match=rf"model\.{knob}=0: must be positive"):
        timm.create_model("efficientnet_scaled", **{knob: 0})

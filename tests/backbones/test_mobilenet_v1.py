import pytest
import timm
import torch
from torch import nn

import cnnlab.backbones.mobilenet_v1  # noqa: F401  (registers it)
from cnnlab.complexity.count import count
from cnnlab.errors import UserError


def build(**knobs):
    with torch.device("meta"):
        return timm.create_model("mobilenet_v1", **knobs)


def cost(size=224, **knobs):
    found = count(build(**knobs), (3, size, size))
    return found.params, found.macs


def test_equals_timms():
    """With ReLU6, which timm has; the same weights give the same maps and logits."""
    torch.manual_seed(0)
    ours = timm.create_model("mobilenet_v1", relu6=True, num_classes=7)
    theirs = timm.create_model("mobilenetv1_100", num_classes=7)
    images = torch.rand(4, 3, 65, 63)
    theirs(images)  # BatchNorm statistics that are not 0 and 1
    names = list(ours.state_dict())
    ours.load_state_dict(dict(zip(names, theirs.state_dict().values(), strict=True)))
    ours.eval()
    theirs.eval()
    torch.testing.assert_close(ours(images), theirs(images))
    features = [entry["num_chs"] for entry in theirs.feature_info]
    assert [entry["num_chs"] for entry in ours.feature_info] == features


@pytest.mark.parametrize(
    ("size", "knobs", "params_m", "macs_m"),
    [
        # Howard et al. 2017, Table 6
        (224, {}, 4.2, 569),
        (224, {"width": 0.75}, 2.6, 325),
        (224, {"width": 0.5}, 1.3, 149),
        (224, {"width": 0.25}, 0.5, 41),
        # Table 7
        (192, {}, 4.2, 418),
        (160, {}, 4.2, 290),
        (128, {}, 4.2, 186),
        # Tables 5 and 4
        (224, {"shallow": True}, 2.9, 307),
        (224, {"depthwise": False}, 29.3, 4866),
    ],
)
def test_cost_is_the_papers(size, knobs, params_m, macs_m):
    params, macs = cost(size, **knobs)
    assert abs(params / 1e6 - params_m) <= 0.05
    assert macs / 1e6 == pytest.approx(macs_m, rel=0.004)


@pytest.mark.parametrize(("size", "macs_m"), [(224, 569), (192, 418), (160, 290), (128, 186)])
def test_resolution_multiplier_is_the_papers(size, macs_m):
    """Table 7; the data take the size from the net, and the weights stay."""
    knobs = {} if size == 224 else {"resolution_multiplier": round(size / 224, 6)}
    net, features = build(**knobs), build(features_only=True, **knobs)
    assert net.default_cfg["input_size"] == features.default_cfg["input_size"] == (3, size, size)
    assert count(net, net.default_cfg["input_size"]).macs / 1e6 == pytest.approx(macs_m, rel=0.004)
    assert [p.shape for p in net.parameters()] == [p.shape for p in build().parameters()]
    own = build(pretrained_cfg_overlay={"input_size": (3, 99, 99)}, **knobs)
    assert own.default_cfg["input_size"] == (3, 99, 99)  # model.image_size goes before


@pytest.mark.parametrize("rho", [0, -1.0])
def test_wrong_resolution_is_one_line(rho):
    with pytest.raises(UserError, match=rf"model\.resolution_multiplier={rho}: must be positive"):
        build(resolution_multiplier=rho)


@pytest.mark.parametrize(("relu6", "largest"), [(False, 9), (True, 6)])
def test_relu6_cuts_at_6(relu6, largest):
    net = timm.create_model("mobilenet_v1", width=0.25, relu6=relu6).eval()
    activations = [m for m in net.modules() if isinstance(m, nn.ReLU | nn.ReLU6)]
    assert len(activations) == 27
    assert {act(torch.tensor([-1.0, 9.0])).max().item() for act in activations} == {largest}


def test_full_convolutions_keep_shapes_and_strides():
    maps = build(depthwise=False, features_only=True)(torch.empty(1, 3, 65, 97, device="meta"))
    others = build(features_only=True)(torch.empty(1, 3, 65, 97, device="meta"))
    assert [each.shape for each in maps] == [each.shape for each in others]


@pytest.mark.parametrize("width", [0, -1, 32])
def test_wrong_width_is_one_line(width):
    with pytest.raises(UserError, match=f"model.width={width}: must be above 0, at most 2"):
        build(width=width)

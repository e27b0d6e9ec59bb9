import pytest
import timm
import torch
import torchvision
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import get_model_weights, list_models

from cnnlab.complexity.count import count

FAST = [
    "alexnet",
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "fcn_resnet50",
    "googlenet",
    "inception_v3",
    "mnasnet1_0",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "regnet_x_400mf",
    "resnet50",
    "resnext50_32x4d",
    "shufflenet_v2_x1_0",
    "squeezenet1_1",
    "swin_t",
    "vgg16",
    "vit_b_16",
    "wide_resnet50_2",
]
ALL = list_models(torchvision.models) + list_models(torchvision.models.segmentation)
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ALL if name not in FAST]


def published(name):
    """Nets as torchvision's weights have them, with input size, parameters and GMACs (`_ops`)."""
    for weights in get_model_weights(name):
        crop = weights.transforms.keywords.get("crop_size")
        crop = crop or weights.transforms.keywords["resize_size"]  # segmentation
        size = crop if isinstance(crop, int) else crop[0]
        args = {
            "num_classes": 21 if weights.transforms.keywords.get("resize_size") == 520 else 1000
        }
        if name == "googlenet":
            args |= {"aux_logits": False}
        if name in ("googlenet", "inception_v3"):
            args |= {"init_weights": False}
        if name.startswith("vit"):
            args |= {"image_size": size}
        if name.startswith(("fcn", "deeplabv3", "lraspp")):
            args |= {"weights_backbone": None}
        if name.startswith(("fcn", "deeplabv3")):
            args |= {"aux_loss": True}
        # Its initialisation reads values, which meta tensors lack.
        with torch.device("cpu" if name.startswith("regnet") else "meta"):
            net = torchvision.models.get_model(name, weights=None, **args)
        yield net, size, weights.meta["num_params"], weights.meta["_ops"]


@pytest.mark.parametrize("name", [*FAST, *SLOW])
def test_agrees_with_torchvision(name):
    for net, size, params, gmacs in published(name):
        cost = count(net, (3, size, size))
        assert cost.params == params
        assert round(cost.macs / 1e9, 3) == gmacs
        for key in ("params", "macs", "activations"):
            assert sum(getattr(layer, key) for layer in cost.layers) == getattr(cost, key)


@pytest.mark.parametrize(
    ("name", "activations_m"),
    [("resnet50", 11.1), ("resnet101", 16.2), ("regnetx_004", 3.1), ("regnety_032", 11.3)],
)
def test_activations_are_pycls(name, activations_m):
    """In millions with one decimal, as in Radosavovic et al. 2020 and pycls' model zoo."""
    with torch.device("meta"):
        net = timm.create_model(name)
    assert round(count(net, (3, 224, 224)).activations / 1e6, 1) == activations_m


def test_alexnet_has_the_decks_number_of_units():
    """659,272 with 227x227 input (formulas F40; the deck says 650k)."""
    with torch.device("meta"):
        layers = [nn.Conv2d(3, 96, 11, 4), nn.MaxPool2d(3, 2), nn.Conv2d(96, 256, 5, padding=2)]
        layers += [nn.MaxPool2d(3, 2), nn.Conv2d(256, 384, 3, padding=1)]
        layers += [nn.Conv2d(384, 384, 3, padding=1), nn.Conv2d(384, 256, 3, padding=1)]
        layers += [nn.MaxPool2d(3, 2), nn.Flatten(), nn.Linear(9216, 4096)]
        net = nn.Sequential(*layers, nn.Linear(4096, 4096), nn.Linear(4096, 1000))
    assert count(net, (3, 227, 227)).activations == 659_272


C, M, K, H, W = 64, 128, 3, 56, 48
LAYERS = {
    # name: (module, MACs, parameters), after decks 0 and 2
    "plain": (nn.Conv2d(C, M, K, padding=1), C * M * K * K * H * W, C * M * K * K + M),
    "no_bias": (nn.Conv2d(C, M, K, padding=1, bias=False), C * M * K * K * H * W, C * M * K * K),
    "strided": (nn.Conv2d(C, M, K, 2, 1), C * M * K * K * H * W // 4, C * M * K * K + M),
    "dilated": (
        nn.Conv2d(C, M, K, padding=2, dilation=2),
        C * M * K * K * H * W,
        C * M * K * K + M,
    ),
    "grouped": (
        nn.Conv2d(C, M, K, padding=1, groups=4),
        C * M * K * K * H * W // 4,
        C // 4 * M * K * K + M,
    ),
    "depthwise": (nn.Conv2d(C, C, K, padding=1, groups=C), C * K * K * H * W, C * K * K + C),
    "pointwise": (nn.Conv2d(C, M, 1), C * M * H * W, C * M + M),
    "rectangular": (nn.Conv2d(C, M, (1, 7), padding=(0, 3)), C * M * 7 * H * W, C * M * 7 + M),
    # Every input element meets every tap once.
    "transposed": (nn.ConvTranspose2d(C, M, 2, 2), C * M * 4 * H * W, C * M * 4 + M),
    "transposed_grouped": (
        nn.ConvTranspose2d(C, M, 4, 2, 1, groups=4),
        C * M * 16 * H * W // 4,
        C * M * 16 // 4 + M,
    ),
    "batch_norm": (nn.BatchNorm2d(C), 0, 2 * C),
    "pooling": (nn.AvgPool2d(2), 0, 0),
}


@pytest.mark.parametrize("name", LAYERS)
def test_formulas(name):
    module, macs, params = LAYERS[name]
    cost = count(module, (C, H, W))
    assert (cost.macs, cost.params) == (macs, params)
    out = module.eval()(torch.empty(1, C, H, W))
    (layer,) = cost.layers
    assert layer.output == tuple(out.shape[1:])
    assert cost.activations == (out.numel() if macs else 0)


def test_depthwise_separable_is_the_decks():
    """Formula F09: 27,496,448 for K=3, 64 to 128 channels at 56x56."""
    net = nn.Sequential(nn.Conv2d(64, 64, 3, padding=1, groups=64), nn.Conv2d(64, 128, 1))
    assert count(net, (64, 56, 56)).macs == 27_496_448


def test_functional_calls_count_under_their_module():
    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))
            self.qkv = nn.Linear(8, 24)

        def forward(self, x):
            q, k, v = self.qkv(x.flatten(2).mT).chunk(3, -1)
            weights = F.softmax(self.scale * q @ k.mT, -1)
            return {"tokens": [weights @ v]}

    rows = {row.name: row for row in count(Attention(), (8, 6, 6)).layers}
    assert rows[""].macs == 2 * 36 * 36 * 8
    assert rows[""].params == 1
    assert rows[""].output == (36, 8)
    assert rows["qkv"].macs == 36 * 8 * 24
    assert rows["qkv"].activations == 36 * 24
    assert rows[""].activations == 0  # products of activations are no layer


def test_shared_layers_cost_each_call_but_are_stored_once():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 1, bias=False)
            self.tied = nn.Conv2d(4, 4, 1, bias=False)
            self.tied.weight = self.conv.weight
            self.unused = nn.Linear(3, 5)

        def forward(self, x):
            return self.tied(self.conv(F.max_pool2d(self.conv(x), 2)))

    cost = count(Twice(), (4, 8, 8))
    assert cost.params == 16 + 20
    assert cost.macs == 16 * (64 + 16 + 16)
    assert [(row.name, row.params) for row in cost.layers] == [
        ("conv", 16),
        ("conv", 0),
        ("tied", 0),
        ("unused", 20),
    ]


def test_each_image_costs_the_same():
    net = timm.create_model("resnet18", num_classes=10)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(torch.rand(5, 3, 64, 64))
    assert counter.get_total_flops() == 2 * 5 * count(net, (3, 64, 64)).macs


@pytest.mark.parametrize(("out", "channels"), [(True, 1), (False, 4)])
def test_features_and_other_channels(out, channels):
    net = timm.create_model("resnet18", features_only=out, in_chans=channels)
    cost = count(net, (channels, 48, 80))
    assert cost.layers[0].output == (64, 24, 40)
    assert cost.input_size == (channels, 48, 80)


def test_trainable_parameters():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    net[0].requires_grad_(False)
    cost = count(net, (3, 8, 8))
    assert (cost.params, cost.trainable_params) == (24, 8)


def test_leaves_no_trace(net_in_training, left_alone):
    with left_alone(net_in_training):
        count(net_in_training, (3, 64, 64))


def test_counts_within_inference_mode(net_in_training):
    outside = count(net_in_training, (3, 64, 64))
    with torch.inference_mode():
        assert count(net_in_training, (3, 64, 64)) == outside
    assert torch.is_grad_enabled()

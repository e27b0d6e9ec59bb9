from functools import partial

import pytest
import timm
import torch
from timm.models._efficientnet_builder import decode_arch_def
from timm.models.efficientnet import EfficientNet
from torch import nn

import cnnlab.backbones.mcunet  # noqa: F401  (registers them)
from cnnlab.complexity.count import count

# README of mit-han-lab/mcunet: image size, millions of parameters and of multiply-adds.
README = {
    "mcunet_in0": (48, 0.75, 6.4),
    "mcunet_in1": (96, 0.64, 12.8),
    "mcunet_in2": (160, 0.73, 67.3),
    "mcunet_in3": (176, 0.74, 81.8),
    "mcunet_in4": (160, 1.73, 125.9),
}


@pytest.mark.parametrize("name", README)
def test_cost_is_the_authors(name):
    size, params_m, macs_m = README[name]
    with torch.device("meta"):
        net = timm.create_model(name)
    assert net.default_cfg["input_size"] == (3, size, size)
    found = count(net, (3, size, size))
    assert abs(found.params / 1e6 - params_m) < 0.005
    assert abs(found.macs / 1e6 - macs_m) < 0.05


def test_in0_equals_timms_blocks():
    """The same net in timm's block language, with equal weights."""
    blocks = [
        ["ds_r1_k3_s1_c16"],
        ["ir_r1_k5_s2_e4_c16", "ir_r1_k3_s1_e3_c16", "ir_r1_k3_s1_e4_c16"],
        ["ir_r1_k7_s2_e5_c24", "ir_r1_k5_s1_e4_c24", "ir_r1_k5_s1_e5_c24"],
        [
            "ir_r1_k7_s2_e5_c48",
            "ir_r1_k5_s1_e4_c48",
            "ir_r1_k3_s1_e5_c56",
            "ir_r1_k5_s1_e4_c56",
            "ir_r1_k3_s1_e5_c56",
        ],
        ["ir_r1_k3_s2_e6_c112", "ir_r1_k5_s1_e4_c112", "ir_r1_k3_s1_e6_c192"],
    ]
    torch.manual_seed(0)
    theirs = EfficientNet(
        decode_arch_def(blocks),
        num_classes=7,
        num_features=0,
        stem_size=24,
        fix_stem=True,
        act_layer=partial(nn.ReLU6, inplace=True),
    )
    images = torch.rand(4, 3, 48, 51)
    theirs(images)  # BatchNorm statistics that are not 0 and 1
    ours = timm.create_model("mcunet_in0", num_classes=7)
    names = list(ours.state_dict())
    ours.load_state_dict(dict(zip(names, theirs.state_dict().values(), strict=True)))
    torch.testing.assert_close(ours.eval()(images), theirs.eval()(images))


@pytest.mark.parametrize(
    ("name", "sram_kb", "flash_mb"),
    [("mcunet_in2", 256, 1), ("mcunet_in3", 320, 1), ("mcunet_in4", 512, 2)],
)
def test_fits_the_device_it_was_found_for(name, sram_kb, flash_mb):
    """In int8, a layer's input and output are within the SRAM and all weights in the flash.

    Depthwise convolution is in place (the paper's TinyEngine).
    """
    with torch.device("meta"):
        net = timm.create_model(name).eval()
    sizes = []

    def record(module, inputs, output):
        maps = inputs[0].numel(), output.numel()
        sizes.append(max(maps) if module.groups > 1 else sum(maps))

    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(record)
    net(torch.empty(1, *net.default_cfg["input_size"], device="meta"))
    assert max(sizes) <= sram_kb * 1024
    assert sum(p.numel() for p in net.parameters()) <= flash_mb * 2**20

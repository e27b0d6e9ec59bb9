"""Each family learns: two epochs on a slice of Fashion-MNIST beat chance clearly.

    pytest tests/backbones/test_learning.py -m slow -s

prints the table of docs/families.md. Chance is 0.1; 500 test images give it a standard deviation
of 0.013.
"""

import time

import pytest
import timm
import torch
from torch.nn import functional as F

from cnnlab.backbones import create
from cnnlab.data.fashion_mnist import FOLDER, read_idx

TRAIN, TEST, BATCH, EPOCHS, CLEARLY = 2000, 500, 32, 2, 0.3
LIGHTER = {
    "resnext_cifar": {"width_per_group": 8},
    "nasnet_a": {"cells": 2, "filters": 8},
    "unet_valid": {"width": 8},
}
"""Of families whose smallest name is large."""
FIXED = {"alexnet": 227, "zfnet": 224, "lenet": 32, "inception": 96, "unet_valid": 140}
"""Families with fully connected layers of a fixed size, and two that shrink an image more than
others; of the rest CIFAR nets read 32 pixels, the others 64."""


def family(name):
    return timm.model_entrypoint(name).__module__.rpartition(".")[2]


def parameters(name):
    with torch.device("meta"):
        return sum(p.numel() for p in timm.create_model(name).parameters())


OURS = [n for n in timm.list_models() if timm.model_entrypoint(n).__module__.startswith("cnnlab.")]
SMALLEST = {
    of: min((n for n in OURS if family(n) == of and "1001" not in n), key=parameters)
    # VGG-16 with a border of 100 pixels would take hours; timm's VGG stands for it.
    for of in sorted({family(n) for n in OURS} - {"fcn_vgg"})
} | {"resnext_cifar": "resnext29_cifar"}
TIMMS = {
    "vgg": "vgg11_bn",
    "inception": "inception_v3",
    "densenet": "densenet121",
    "resnet": "resnet18",
    "preactivation": "resnetv2_18",
    "senet": "legacy_seresnet18",
    "mobilenetv2": "mobilenetv2_100",
    "mobilenetv3": "mobilenetv3_small_050",
    "efficientnet": "efficientnet_b0",
    "efficientnetv2": "efficientnetv2_rw_t",
    "regnet": "regnetx_002",
    "nfnet": "nf_regnet_b0",
    "convnext": "convnext_atto",
    "convnextv2": "convnextv2_atto",
}
"""Of the decks' families that are timm's, a small net each."""


def test_nothing_is_lost():
    assert len(SMALLEST) >= 20


@pytest.fixture(scope="module")
def clothes(real_data):
    folder = real_data("fashion_mnist") / FOLDER

    def part(name, count):
        images = read_idx(folder / f"{name}-images-idx3-ubyte")[:count, None].float()
        return (images - 73) / 90, read_idx(folder / f"{name}-labels-idx1-ubyte")[:count].long()

    return part("train", TRAIN), part("t10k", TEST)


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("of", SMALLEST | TIMMS)
def test_it_learns(of, clothes):
    name = (SMALLEST | TIMMS)[of]
    small = timm.models.get_pretrained_cfg(name).input_size[-1] == 32
    size = FIXED.get(of, 32 if small else 64)
    knobs = LIGHTER.get(of, {})
    net = create(10, 1, name=name, weights=None, freeze=0, seed=0, knobs=knobs)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.05)
    (images, labels), (test_images, test_labels) = clothes
    start = time.perf_counter()
    steps = EPOCHS * (TRAIN // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, steps)
    order = torch.Generator().manual_seed(0)
    for _ in range(EPOCHS):
        for ids in torch.randperm(TRAIN, generator=order).split(BATCH)[: TRAIN // BATCH]:
            loss = F.cross_entropy(net.train()(resized(images[ids], size)), labels[ids])
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    net.eval()
    with torch.no_grad():
        found = torch.cat([net(resized(part, size)).argmax(1) for part in test_images.split(50)])
    top1 = (found == test_labels).float().mean().item()
    turned = "".join(f", {knob}={value}" for knob, value in knobs.items())
    seconds = time.perf_counter() - start
    print(f"\n| {name}{turned} | {size} | {top1:.3f} | {seconds:.0f} s |")
    assert top1 > CLEARLY


def resized(images, size):
    return F.interpolate(images, size=(size, size), mode="bilinear", align_corners=False)

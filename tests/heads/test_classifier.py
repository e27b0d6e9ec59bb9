from functools import partial

import pytest
import torch
from timm.optim import create_optimizer_v2

from cnnlab.backbones import create
from cnnlab.heads.classifier import Classifier

NET = partial(create, weights=None, freeze=0, seed=0, knobs={})


@pytest.mark.parametrize("name", ["resnet20_cifar", "lenet5_modern", "mobilenetv3_small_050"])
def test_logits(name):
    net = Classifier(partial(NET, name=name), 7, 2).eval()
    images = torch.rand(3, 2, 32, 32)
    assert net(images).shape == (3, 7)
    assert torch.equal(net(images), net.backbone(images))
    assert net.backbone.load_report is None


@pytest.mark.parametrize("name", ["resnet20_cifar", "resnet18", "convnext_atto"])
def test_layer_decay_is_the_backbones(name):
    """timm's optimizer over the head gives each tensor the rate that it has over the backbone."""
    net = Classifier(partial(NET, name=name), 10, 3)

    def rates(module):
        optimizer = create_optimizer_v2(module, "sgd", lr=1.0, layer_decay=0.5)
        return {
            id(p): group["lr_scale"] for group in optimizer.param_groups for p in group["params"]
        }

    assert rates(net) == rates(net.backbone)
    assert len(set(rates(net).values())) > 3

from functools import partial

import pytest
import safetensors
import safetensors.torch
import timm
import torch
from torch import nn

from cnnlab.backbones import create
from cnnlab.tracking.weights import save_weights


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = timm.create_model("test_byobnet", num_classes=3)


def test_the_backbone_opens_in_timm_and_the_net_in_torch(tmp_path):
    net = Net().eval().to(memory_format=torch.channels_last)
    save_weights(net, tmp_path, {"run": "a-b-001-s0"})
    images = torch.rand(1, 3, 64, 64)
    path = tmp_path / "backbone.safetensors"
    theirs = timm.create_model("test_byobnet", num_classes=3, checkpoint_path=str(path)).eval()
    torch.testing.assert_close(theirs(images), net.backbone(images))
    again = Net().eval()
    again.load_state_dict(safetensors.torch.load_file(tmp_path / "weights.safetensors"))
    torch.testing.assert_close(again.backbone(images), net.backbone(images))
    with safetensors.safe_open(path, "pt") as file:
        assert file.metadata() == {"format": "pt", "run": "a-b-001-s0"}


def test_tied_weights_are_written_out(tmp_path):
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    save_weights(net, tmp_path, {})
    loaded = safetensors.torch.load_file(tmp_path / "weights.safetensors")
    assert torch.equal(loaded["0.weight"], loaded["1.weight"])
    assert not (tmp_path / "backbone.safetensors").exists()


@pytest.mark.parametrize("name", ["convnext_atto", "resnet18"])  # timm renames the first one's
def test_a_feature_extractors_backbone_starts_a_classifier(tmp_path, name):
    made = partial(create, name=name, freeze=0, seed=0, knobs={})
    net = nn.Module()
    net.backbone = made(features_only=True, in_chans=3, weights=None)
    save_weights(net, tmp_path, {})
    again = made(num_classes=3, in_chans=3, weights=str(tmp_path / "backbone.safetensors"))
    assert again.load_report.reinitialised
    assert all("head" in key or "fc" in key for key in again.load_report.reinitialised)
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        features = net.backbone.eval()(images)[-1]
        torch.testing.assert_close(again.eval().forward_features(images), features)

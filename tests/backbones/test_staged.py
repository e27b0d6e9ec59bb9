"""The contract of every home-made net, over all that are registered."""

from pathlib import Path

import pytest
import segmentation_models_pytorch as smp
import timm
import timm.models
import torch
from safetensors.torch import save_file
from timm.models import group_parameters
from torch import nn

import cnnlab.backbones
from cnnlab.backbones import create

OURS = [n for n in timm.list_models() if timm.model_entrypoint(n).__module__.startswith("cnnlab.")]
EACH = [pytest.param(n, marks=[pytest.mark.slow] if "1202" in n else []) for n in OURS]
SMALLEST = ["lenet5_modern", "resnet20_cifar", "plain20_cifar"]  # of each family
BARE = {"weights": None, "freeze": 0, "knobs": {}}


def meta(name, **arguments):
    with torch.device("meta"):
        return timm.create_model(name, **arguments)


def image(net, batch=2, extra=0):
    channels, height, width = net.default_cfg["input_size"]
    return torch.empty(batch, channels, height + extra, width + extra, device="meta")


def test_nothing_is_lost():
    assert len(OURS) >= 14
    assert set(SMALLEST) < set(OURS)


@pytest.mark.parametrize("name", EACH)
def test_name_and_file_are_new_to_timm(name):
    assert not hasattr(timm.models, name)
    assert not hasattr(timm.models, timm.model_entrypoint(name).__module__.rpartition(".")[2])


@pytest.mark.parametrize("name", EACH)
def test_default_cfg_tells_the_truth(name):
    net = meta(name)
    cfg = net.default_cfg
    assert net(image(net)).shape == (2, cfg["num_classes"])
    assert net.get_submodule(cfg["first_conv"]).in_channels == cfg["input_size"][0]
    assert len(cfg["mean"]) == len(cfg["std"]) == cfg["input_size"][0]
    classifier = net.get_submodule(cfg["classifier"])
    assert classifier is net.get_classifier()
    assert isinstance(classifier, nn.Linear)
    assert classifier.out_features == cfg["num_classes"]
    children = [child for child, _ in net.named_children()]
    stages = [f"stage{i + 1}" for i in range(len(net.feature_info))]
    assert children in ([*stages, "head"], ["stem", *stages, "head"])


@pytest.mark.parametrize("name", EACH)
def test_declared_channels_and_strides_are_real(name):
    net = meta(name, features_only=True)
    info = net.feature_info
    assert info.reduction() == sorted(info.reduction())
    assert [maps.shape[1] for maps in net(image(net))] == info.channels()
    # Independent of padding: where the image grows by 12 pixels, a map of stride 4 grows by 3.
    for small, large, stride in zip(
        net(image(net)), net(image(net, extra=12)), info.reduction(), strict=True
    ):
        growth = (large.shape[-2] - small.shape[-2], large.shape[-1] - small.shape[-1])
        assert growth == (12 / stride, 12 / stride)


@pytest.mark.parametrize("name", SMALLEST)
def test_every_parameter_gets_a_gradient(name):
    net = create(10, 2, name=name, seed=0, **BARE)
    net(torch.rand(4, 2, 32, 32)).square().sum().backward()
    without = [key for key, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert not without


@pytest.mark.parametrize("name", SMALLEST)
def test_features_equal_the_classifiers_stages_after_loading(name, tmp_path: Path):
    classifier = create(10, 3, name=name, seed=1, **BARE).eval()
    save_file(classifier.state_dict(), tmp_path / "a.safetensors")
    bare = BARE | {"weights": str(tmp_path / "a.safetensors")}
    features = create(None, 3, True, name=name, seed=2, **bare).eval()
    stages: list[torch.Tensor] = []
    for entry in classifier.feature_info:
        module = classifier.get_submodule(entry["module"])
        module.register_forward_hook(lambda _module, _inputs, output: stages.append(output.clone()))
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        classifier(images)
        maps = features(images)
    assert len(stages) == len(maps) > 1
    assert all(torch.equal(a, b) for a, b in zip(stages, maps, strict=True))


@pytest.mark.parametrize("name", SMALLEST)
def test_features_of_odd_sizes(name):
    net = create(None, 3, True, name=name, seed=0, **BARE)
    even, odd = net(torch.rand(2, 3, 32, 48)), net(torch.rand(2, 3, 33, 47))
    for a, b in zip(even, odd, strict=True):
        assert b.shape[-2] - a.shape[-2] in (0, 1)
        assert b.shape[-1] - a.shape[-1] in (0, -1)
        assert b.isfinite().all()


@pytest.mark.parametrize("name", EACH)
def test_misspelt_knob(name):
    with pytest.raises(TypeError, match="widht"):
        timm.create_model(name, widht=4)


@pytest.mark.parametrize("name", EACH)
def test_segmentation_encoder(name):
    reductions = meta(name, features_only=True).feature_info.reduction()
    depth = len(reductions) - {1: 1, 2: 0}[reductions[0]]
    with torch.device("meta"):
        encoder = smp.encoders.get_encoder(f"tu-{name}", depth=depth, weights=None)
        maps = encoder(torch.empty(2, 3, 64, 64))
    assert [tensor.shape[1] for tensor in maps] == encoder.out_channels


@pytest.mark.parametrize("name", SMALLEST)
def test_classifier_can_be_replaced_and_removed(name):
    net = meta(name)
    net.reset_classifier(7)
    assert net.num_classes == 7
    images = image(net)
    with torch.device("meta"):
        net.reset_classifier(7)
        assert net(images).shape == (2, 7)
        net.reset_classifier(0)
    assert net(images).ndim == 2
    assert net(images).shape == meta(name, num_classes=0)(images).shape


@pytest.mark.parametrize("name", EACH)
def test_layer_groups_run_from_stem_to_head(name):
    net = meta(name)
    layers = group_parameters(net, net.group_matcher(), reverse=True)
    order = [layers[key] for key, _ in net.named_parameters()]
    assert order == sorted(order)
    assert {key for key in layers if key.startswith("head.")} == {
        key for key, layer in layers.items() if layer == max(order)
    }
    assert max(order) >= len(net.feature_info)


@pytest.mark.parametrize("name", SMALLEST)
def test_choice_of_stages_does_not_stick(name):
    assert len(meta(name, features_only=True, out_indices=(1,)).feature_info.channels()) == 1
    net = meta(name, features_only=True)
    assert net.feature_info.channels() == [entry["num_chs"] for entry in meta(name).feature_info]


def test_package_registers_every_family_file():
    folder = Path(cnnlab.backbones.__file__).parent
    files = {file.stem for file in folder.glob("*.py") if "@register_model" in file.read_text()}
    assert files == {timm.model_entrypoint(name).__module__.rpartition(".")[2] for name in OURS}

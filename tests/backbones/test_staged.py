"""The contract of every home-made net, over all that are registered."""

from functools import cache
from itertools import pairwise
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
from cnnlab.backbones.staged import StagedNet

BARE = {"weights": None, "freeze": 0, "knobs": {}}


def fresh(name, **arguments):
    with torch.device("meta"):
        return timm.create_model(name, **arguments)


meta = cache(fresh)
"""For tests that change nothing; building is what takes the time."""


def family(name):
    return timm.model_entrypoint(name).__module__.rpartition(".")[2]


def parameters(name):
    return sum(p.numel() for p in meta(name).parameters())


OURS = [n for n in timm.list_models() if timm.model_entrypoint(n).__module__.startswith("cnnlab.")]
DEEPEST = [n for n in OURS if "1001" in n or "1202" in n]
"""Four seconds a test to build; they are longer rows of the blocks that others have."""
EVERY = [pytest.param(n, marks=[pytest.mark.slow] if n in DEEPEST else [], id=n) for n in OURS]
SMALLEST = [
    min((n for n in OURS if family(n) == of and n not in DEEPEST), key=parameters)
    for of in sorted({family(n) for n in OURS})
]
"""Of each family; real tensors in the fast tests. The others have theirs in the slow ones."""
HEAVY = {"fcn_vgg16", "unet_valid", "unet_same"}
"""15 to 50 seconds a test at their images' size; their own tests do the same with fewer tensors."""
REAL = [
    pytest.param(n, marks=[] if n in SMALLEST and n not in HEAVY else [pytest.mark.slow], id=n)
    for n in OURS
]


def image(net, batch=2, extra=0):
    channels, height, width = net.default_cfg["input_size"]
    return torch.empty(batch, channels, height + extra, width + extra, device="meta")


def logits(outputs):
    """Nets with auxiliary heads give `(logits, [auxiliary, ...])` in training."""
    return outputs[0] if isinstance(outputs, tuple) else outputs


def real(name, num_classes=10, in_chans=3, **more):
    """The net with values, and a batch of the size it reads."""
    height = meta(name).default_cfg["input_size"][1]
    return create(num_classes, in_chans, name=name, seed=1, **BARE, **more), torch.rand(
        2, in_chans, height, height
    )


def test_nothing_is_lost():
    assert len(OURS) >= 76
    assert len(SMALLEST) >= 20


@pytest.mark.parametrize("name", EVERY)
def test_name_and_file_are_new_to_timm(name):
    assert not hasattr(timm.models, name)
    assert not hasattr(timm.models, timm.model_entrypoint(name).__module__.rpartition(".")[2])


@pytest.mark.parametrize("name", EVERY)
def test_default_cfg_tells_the_truth(name):
    net = meta(name).eval()
    if not isinstance(net, StagedNet):
        pytest.skip("a net of timm with parts replaced keeps timm's names")
    cfg = net.default_cfg
    assert net(image(net)).shape == (2, cfg["num_classes"])
    assert net.get_submodule(cfg["first_conv"]).in_channels == cfg["input_size"][0]
    assert len(cfg["mean"]) == len(cfg["std"]) == cfg["input_size"][0]
    classifier = net.get_submodule(cfg["classifier"])
    assert classifier is net.get_classifier()
    outputs = classifier.out_channels if isinstance(classifier, nn.Conv2d) else None
    assert (outputs or classifier.out_features) == cfg["num_classes"]
    children = [child for child, _ in net.named_children()]
    stages = [f"stage{i + 1}" for i in range(len(net.feature_info))]
    first = [child for child in ("stem",) if child in children]
    assert children[: len(first + stages)] == first + stages
    assert set(children[len(first + stages) :]) <= {"head", "aux"}


@pytest.mark.parametrize("name", EVERY)
def test_declared_channels_and_strides_are_real(name):
    net = meta(name, features_only=True).eval()
    info = net.feature_info
    assert info.reduction() == sorted(info.reduction())
    assert [maps.shape[1] for maps in net(image(net))] == info.channels()
    # Independent of padding: where the image grows by 96 pixels, a map of stride 4 grows by 24.
    for small, large, stride in zip(
        net(image(net)), net(image(net, extra=96)), info.reduction(), strict=True
    ):
        growth = (large.shape[-2] - small.shape[-2], large.shape[-1] - small.shape[-1])
        assert growth == (96 / stride, 96 / stride)


@pytest.mark.parametrize("name", REAL)
def test_every_parameter_gets_a_gradient(name):
    net, images = real(name, in_chans=2)
    for module in net.modules():  # timm's last norm of a block begins at 0: nothing passes
        if isinstance(module, nn.BatchNorm2d) and not module.weight.any():
            nn.init.ones_(module.weight)
    outputs = net.train()(images)
    everything = [outputs[0], *outputs[1]] if isinstance(outputs, tuple) else [outputs]
    sum(each.square().sum() for each in everything).backward()
    without = [key for key, p in net.named_parameters() if p.grad is None]
    assert not without
    dead = [key for key, p in net.named_parameters() if not p.grad.any()]
    assert not dead


@pytest.mark.parametrize("name", REAL)
def test_features_equal_the_classifiers_stages_after_loading(name, tmp_path: Path):
    classifier, images = real(name)
    for module in classifier.modules():  # statistics of a fresh net let a thousand layers overflow
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        classifier.train()(images)
    classifier.eval()
    save_file(classifier.state_dict(), tmp_path / "a.safetensors")
    bare = BARE | {"weights": str(tmp_path / "a.safetensors")}
    features = create(None, 3, True, name=name, seed=2, **bare).eval()
    stages: list[torch.Tensor] = []
    for entry in classifier.feature_info:
        module = classifier.get_submodule(entry["module"])
        module.register_forward_hook(
            lambda _module, _inputs, output: stages.append(_last(output).clone())
        )
    with torch.no_grad():
        classifier(images)
        maps = features(images)
    assert len(stages) == len(maps) > 1
    assert all(torch.equal(a, b) for a, b in zip(stages, maps, strict=True))
    assert all(torch.isfinite(each).all() for each in maps)


def _last(output):
    """A stage that hands on several maps gives the newest as its feature."""
    return output[0] if isinstance(output, tuple) else output


@pytest.mark.parametrize("name", EVERY)
def test_features_of_odd_sizes(name):
    net = meta(name, features_only=True).eval()
    channels, height, width = net.default_cfg["input_size"]
    height += height % 2
    width += width % 2
    even = net(torch.empty(2, channels, height, width, device="meta"))
    odd = net(torch.empty(2, channels, height + 1, width - 1, device="meta"))
    for a, b in zip(even, odd, strict=True):
        assert b.shape[-2] - a.shape[-2] in (0, 1)
        assert b.shape[-1] - a.shape[-1] in (0, -1)


@pytest.mark.parametrize("name", EVERY)
def test_misspelt_knob(name):
    with pytest.raises(TypeError, match="widht"):
        timm.create_model(name, widht=4)


@pytest.mark.parametrize("name", EVERY)
def test_segmentation_encoder(name):
    reductions = meta(name, features_only=True).feature_info.reduction()
    if not all(2 * a == b for a, b in pairwise(reductions)):
        # Dilated, as the paper has it; smp refuses such a net.
        assert family(name) == "deformable"
        return
    size = max(64, meta(name).default_cfg["input_size"][1] // 32 * 32)
    depth = len(reductions) - {1: 1, 2: 0, 4: -1}[reductions[0]]
    with torch.device("meta"):
        encoder = smp.encoders.get_encoder(f"tu-{name}", depth=depth, weights=None).eval()
        maps = encoder(torch.empty(2, 3, size, size))
        larger = encoder(torch.empty(2, 3, size + 96, size + 96))
    assert [tensor.shape[1] for tensor in maps] == encoder.out_channels
    # smp has one map a halving, from the image on; a net that begins with 4 has none for 2.
    growth = [b.shape[-1] - a.shape[-1] for a, b in zip(maps, larger, strict=True)]
    assert growth[-len(reductions) :] == [96 // reduction for reduction in reductions]


@pytest.mark.parametrize("name", EVERY)
def test_classifier_can_be_replaced_and_removed(name):
    net = fresh(name).eval()
    with torch.device("meta"):
        net.reset_classifier(7)
        assert net.num_classes == 7
        assert net(image(net)).shape == (2, 7)
        net.reset_classifier(0)
    assert net(image(net)).ndim == 2
    assert net(image(net)).shape == meta(name, num_classes=0).eval()(image(net)).shape


@pytest.mark.parametrize("name", EVERY)
def test_layer_groups_run_from_stem_to_head(name):
    net = meta(name)
    if not isinstance(net, StagedNet):
        pytest.skip("a net of timm with parts replaced keeps timm's groups")
    layers = group_parameters(net, net.group_matcher(), reverse=True)
    order = [layers[key] for key, _ in net.named_parameters()]
    assert order == sorted(order)
    heads = {key for key in layers if key.startswith(("head.", "aux"))}
    assert heads == {key for key, layer in layers.items() if layer == max(order)}
    assert max(order) >= len(net.feature_info)


@pytest.mark.parametrize("name", SMALLEST)
def test_choice_of_stages_does_not_stick(name):
    assert len(meta(name, features_only=True, out_indices=(1,)).feature_info.channels()) == 1
    net = meta(name, features_only=True)
    assert net.feature_info.channels() == [entry["num_chs"] for entry in meta(name).feature_info]


def test_package_registers_every_family_file():
    folder = Path(cnnlab.backbones.__file__).parent
    files = {file.stem for file in folder.glob("*.py") if "@register_model" in file.read_text()}
    assert files == {family(name) for name in OURS}

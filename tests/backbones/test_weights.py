import json
import time
from pathlib import Path

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import save_file

from cnnlab.backbones import create
from cnnlab.backbones.weights import timm_names
from cnnlab.errors import UserError

BARE = {"weights": None, "freeze": 0, "knobs": {}}


def make(name, weights=None, num_classes=10, in_chans=3, seed=0, **arguments):
    arguments = BARE | {"weights": weights and str(weights)} | arguments
    return create(num_classes, in_chans, name=name, seed=seed, **arguments)


def features(name, weights=None, in_chans=3, **arguments):
    arguments = BARE | {"weights": weights and str(weights)} | arguments
    return create(None, in_chans, True, name=name, seed=5, **arguments)


@pytest.fixture
def source(tmp_path):
    """`source(net, keep)`: the file of those tensors of `net` whose key `keep` accepts."""

    def write(net, keep=lambda key: True) -> Path:
        path = tmp_path / "source.safetensors"
        save_file({key: v for key, v in net.state_dict().items() if keep(key)}, path)
        return path

    return write


def same(net, other, key):
    return torch.equal(net.state_dict()[key], other.state_dict()[key])


def test_all_of_it(source):
    net = make("resnet20_cifar", seed=1)
    path = source(net)
    copy = make("resnet20_cifar", path, seed=2)
    assert all(same(net, copy, key) for key in net.state_dict())
    report = copy.load_report
    assert report.loaded == list(net.state_dict())
    assert [*report.adapted, *report.reinitialised, *report.unused] == []
    assert str(report) == f"weights {path}: 116 of 116 tensors loaded"
    assert make("resnet20_cifar").load_report is None


def test_other_classes_keep_their_initial_values_and_are_named(source):
    net = make("resnet20_cifar", seed=1)
    path = source(net)
    copy, fresh = make("resnet20_cifar", path, 7), make("resnet20_cifar", None, 7)
    assert same(copy, fresh, "head.fc.weight")
    assert same(copy, fresh, "head.fc.bias")
    assert same(copy, net, "stem.0.weight")
    assert list(copy.load_report.reinitialised) == ["head.fc.weight", "head.fc.bias"]
    assert str(copy.load_report) == (
        f"weights {path}: 114 of 116 tensors loaded; "
        "head.fc.weight, head.fc.bias re-initialised (10 -> 7 classes)"
    )


@pytest.mark.parametrize("in_chans", [1, 2, 6])
def test_other_channels_are_adapted(in_chans, source):
    """A grey image in all channels gives what the sum of the stem's weights gives."""
    net = make("resnet20_cifar", seed=1).eval()
    copy = make("resnet20_cifar", source(net), in_chans=in_chans).eval()
    assert list(copy.load_report.adapted.values()) == [f"3 -> {in_chans} channels"]
    assert f"stem.0.weight adapted (3 -> {in_chans} channels)" in str(copy.load_report)
    assert len(copy.load_report.loaded) == 116
    grey = torch.rand(2, 1, 32, 32)
    if in_chans != 2:  # the first two channels of a 3-channel stem are not its sum
        with torch.no_grad():
            expected = net(grey.expand(-1, 3, -1, -1))
            torch.testing.assert_close(copy(grey.expand(-1, in_chans, -1, -1)), expected)


def test_grey_weights_into_a_colour_net(source):
    net = make("lenet5_modern", in_chans=1, seed=1)
    copy = make("lenet5_modern", source(net), in_chans=3)
    grey = torch.rand(2, 1, 32, 32)
    torch.testing.assert_close(copy(grey.expand(-1, 3, -1, -1)), net(grey))


# timm's wrappers: list (resnet), list flattened (convnext, densenet), own class (mobilenet),
# hooks (xception); smallest member each.
@pytest.mark.parametrize(
    "name", ["resnet10t", "convnext_atto", "mobilenetv3_small_050", "densenet121", "xception41"]
)
def test_features_after_loading_equal_the_classifiers(name, source):
    net = make(name, seed=1, num_classes=4).eval()
    extractor = features(name, source(net)).eval()
    report = extractor.load_report
    assert not report.reinitialised
    assert len(report.loaded) == len(extractor.state_dict())
    assert set(report.unused) == set(net.state_dict()) - set(report.loaded)
    assert {key.rpartition(".")[2] for key in report.unused} >= {"weight", "bias"}
    names = timm_names(extractor.state_dict(), net.state_dict())
    for key, value in extractor.state_dict().items():
        assert torch.equal(value, net.state_dict()[names[key]])
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        _, expected = net.forward_intermediates(images) if name != "xception41" else (0, None)
        maps = extractor(images)
    if expected is not None:
        torch.testing.assert_close(maps[-1], expected[-1])


def test_features_of_other_channels(source):
    net = make("convnext_atto", seed=1)
    extractor = features("convnext_atto", source(net), in_chans=1)
    assert extractor.load_report.adapted == {"stem.0.weight": "3 -> 1 channels"}
    summed = net.state_dict()["stem.0.weight"].sum(1, keepdim=True)
    torch.testing.assert_close(extractor.state_dict()["stem_0.weight"], summed)


def test_a_feature_extractors_file_starts_a_classifier(source):
    net = make("convnext_atto", seed=1)
    path = source(net, lambda key: not key.startswith("head."))
    copy = make("convnext_atto", path)
    assert set(copy.load_report.reinitialised) == {k for k in net.state_dict() if "head." in k}
    assert "(not in the source)" in str(copy.load_report)
    assert same(copy, net, "stages.3.blocks.1.mlp.fc1.weight")
    # Half a head is no such file.
    with pytest.raises(UserError, match=r"1 missing: head\.norm\.bias$"):
        make("convnext_atto", source(net, lambda key: key != "head.norm.bias"))


def test_weights_of_a_frozen_net_have_no_counters(source):
    net = make("resnet20_cifar", seed=1, freeze=3)
    path = source(net)
    assert not any("tracked" in key for key in net.state_dict())
    assert same(make("resnet20_cifar", path), net, "stage3.2.bn2.running_var")
    thawed = make("resnet20_cifar", source(make("resnet20_cifar", seed=1)), freeze=3)
    assert same(thawed, net, "stage3.2.conv2.weight")


@pytest.mark.parametrize("build", [make, features])
@pytest.mark.parametrize(
    ("of", "into", "told"),
    [
        # a deeper net holds every tensor of a shallower one, in the same shapes
        ("resnet32_cifar", "resnet20_cifar", "60 unknown: stage1.3."),
        ("resnet20_cifar", "resnet32_cifar", "60 missing: stage1.3."),
        ("lenet5_modern", "resnet20_cifar", "missing: stem.0.weight, "),
    ],
)
def test_another_architecture_is_refused(build, of, into, told, source):
    path = source(make(of))
    with pytest.raises(UserError) as caught:
        build(into, path)
    message = str(caught.value)
    assert message.startswith(f"model.weights={path}: not the weights of this {into}; tensors ")
    assert told in message
    assert "\n" not in message


def test_another_width_is_refused(source):
    path = source(make("resnet_cifar", width=8))
    with pytest.raises(UserError, match=r"stem\.0\.weight \(8, 3, 3, 3\), not \(16, 3, 3, 3\)"):
        make("resnet_cifar", path, width=16)
    with pytest.raises(UserError, match=r"1 missing: stage2\.1\.bn1\.weight$"):
        make("resnet20_cifar", source(make("resnet20_cifar"), lambda k: k != "stage2.1.bn1.weight"))


def test_a_run_folder(tmp_path, source):
    net = make("resnet20_cifar", seed=1)
    source(net).rename(tmp_path / "backbone.safetensors")
    copy = make("resnet20_cifar", tmp_path)
    assert same(copy, net, "head.fc.weight")
    assert copy.load_report.source == str(tmp_path / "backbone.safetensors")


def test_nothing_there(tmp_path):
    with pytest.raises(UserError, match=r"model\.weights=.*no such file"):
        make("resnet20_cifar", tmp_path)
    with pytest.raises(UserError, match=r"model\.weights=tim: no such file.*did you mean 'timm'"):
        make("resnet20_cifar", "tim")
    (tmp_path / "empty").touch()
    with pytest.raises(UserError, match=r"model\.weights=.*/empty: the file is empty"):
        make("resnet20_cifar", tmp_path / "empty")


def test_hub_without_network_fails_at_once(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    start = time.monotonic()
    with pytest.raises(UserError, match=r"model\.weights=timm: .*without a network give a file"):
        make("mobilenetv3_small_050", "timm")
    assert time.monotonic() - start < 10
    assert huggingface_hub.constants.HF_HUB_OFFLINE is False
    with pytest.raises(UserError, match="timm has no weights for resnet20_cifar"):
        make("resnet20_cifar", "timm")


def test_hubs_cache_serves_without_network(monkeypatch, tmp_path):
    """The hub's own cache layout, filled by hand; timm's weights have 1000 classes."""
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    name = "mobilenetv3_small_050"
    cfg = timm.get_pretrained_cfg(name)
    repo = tmp_path / f"models--timm--{name}.{cfg.tag}"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text("0" * 40)
    snapshot = repo / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    net = make(name, num_classes=1000, seed=1)
    save_file(net.state_dict(), snapshot / "model.safetensors")
    (snapshot / "config.json").write_text(json.dumps({}))

    copy = make(name, "timm", num_classes=1000)
    assert same(copy, net, "classifier.weight")
    assert str(copy.load_report).startswith(f"weights timm's {name}.{cfg.tag}: ")
    copy = make(name, "timm", num_classes=3, in_chans=1)
    assert set(copy.load_report.reinitialised) == {"classifier.weight", "classifier.bias"}
    assert set(copy.load_report.adapted) == {"conv_stem.weight"}
    extractor = features(name, "timm")
    assert torch.equal(extractor.state_dict()["conv_stem.weight"], net.conv_stem.weight)


def test_auxiliary_heads_come_and_go(source):
    """A net that was trained with them serves without, and with other classes."""
    trained = make("googlenet", seed=1, knobs={"aux": True})
    served = make("googlenet", source(trained), knobs={"aux": False})
    assert not served.load_report.reinitialised
    assert all(key.startswith("aux.") for key in served.load_report.unused)
    assert served.load_report.unused
    again = make("googlenet", source(trained), num_classes=7, knobs={"aux": True})
    assert {key.rpartition(".")[0] for key in again.load_report.reinitialised} == {
        "head.fc",
        "aux.0.fc",
        "aux.1.fc",
    }
    plain = make("googlenet", seed=1, knobs={"aux": False})
    grown = make("googlenet", source(plain), knobs={"aux": True})
    assert all(key.startswith("aux.") for key in grown.load_report.reinitialised)


def test_plain_weights_into_a_deformable_net_compute_what_they_did(source):
    plain = make("resnet18", seed=1, num_classes=10).eval()
    knobs = {"deform": 3, "output_stride": 32}
    net = make("deform_resnet18", source(plain), num_classes=10, knobs=knobs).eval()
    assert not net.load_report.reinitialised
    assert all(key.endswith(("offset.weight", "offset.bias")) for key in net.load_report.adapted)
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(net(images), plain(images), rtol=1e-4, atol=1e-5)

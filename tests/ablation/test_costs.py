from dataclasses import replace

import pytest
import torch

from cnnlab.ablation.costs import GUESSED_CLASSES, Costs
from cnnlab.complexity.count import count
from cnnlab.config import compose
from cnnlab.tasks.build import build_parts

SCENES = "data=digit_scenes data.scenes=5 model=resnet20_cifar model.width=4"


@pytest.mark.parametrize(
    "words",
    [
        "data=digits model=resnet20_cifar model.shortcut=B",
        f"{SCENES} head=unet",
        f"{SCENES} task=detection head=retinanet recipe.head_width=8",
        f"{SCENES} task=detection head=faster_rcnn recipe.head_width=8 head.hidden=8",
    ],
)
def test_the_count_is_that_of_the_run(words):
    cfg = compose(words.split()).cfg
    data, task = build_parts(cfg)
    real = count(task.net, (data.channels, *data.image_size))
    found = Costs().of(cfg)
    assert found.layers == []
    assert replace(real, layers=[]) == found
    assert Costs().params(cfg) == real.params


def test_nothing_is_allocated_and_the_generator_stays():
    cfg = compose(["model=resnet50", "data=imagenet"]).cfg
    before = torch.get_rng_state()
    net, size = Costs().net(cfg, meta=True)
    assert {p.device.type for p in net.parameters()} == {"meta"}
    assert size == (3, 224, 224)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("words", "shape"),
    [
        ("data=cifar100", (100, 3, (32, 32))),
        ("data=fashion_mnist data.image_size=32", (10, 1, (32, 32))),
        ("data=camvid", (11, 3, (288, 352))),
        ("data=bccd", (3, 3, (480, 640))),
        ("data=digit_scenes", (11, 3, (128, 128))),
        ("data=digit_scenes task=detection", (10, 3, (128, 128))),
    ],
)
def test_sets_that_need_no_file(words, shape, tmp_path):
    costs = Costs()
    root = [] if "scenes" in words else [f"data.root={tmp_path}"]
    assert costs.shape(compose([*words.split(), *root]).cfg) == shape
    assert costs.notes == []


def test_what_only_files_could_tell_is_guessed_and_said(tmp_path):
    costs = Costs()
    words = [f"data.root={tmp_path}", "model=resnet18"]
    imagenet = compose(["data=imagenet", *words]).cfg
    assert costs.of(imagenet).params == 11_689_512  # torchvision's count, with 1000 classes
    costs.of(imagenet)
    (note,) = costs.notes
    assert "the net's own number of classes, a guess" in note
    assert str(tmp_path) in note
    coco = compose(["data=coco", *words]).cfg
    assert costs.shape(coco) == (GUESSED_CLASSES, 3, (640, 640))
    assert "20 classes, a guess" in costs.notes[1]


def test_files_tell_the_classes(tmp_path):
    from PIL import Image

    for name in ("cat", "dog", "owl"):
        (tmp_path / name).mkdir()
        for number in range(10):
            Image.new("RGB", (8, 8)).save(tmp_path / name / f"{number}.png")
    costs = Costs()
    cfg = compose(["data=image_folder", f"data.root={tmp_path}", "model=resnet18"]).cfg
    assert costs.shape(cfg) == (3, 3, None)
    assert costs.net(cfg, meta=True)[1] == (3, 224, 224)


def test_weights_are_not_read(tmp_path):
    words = ["data=digits", "model=resnet20_cifar"]
    absent = [*words, f"model.weights={tmp_path / 'absent.safetensors'}"]
    assert Costs().of(compose(absent).cfg) == Costs().of(compose(words).cfg)


def test_a_net_is_counted_once_and_a_set_read_once(monkeypatch):
    built, reads = [], []
    build, read = Costs.net, Costs._read
    monkeypatch.setattr(Costs, "net", lambda *a, **k: built.append(1) or build(*a, **k))
    monkeypatch.setattr(Costs, "_read", lambda *a: reads.append(1) or read(*a))
    costs = Costs()
    for word in ("seed=1", "seed=2", "data.batch_size=3", "data.augment.mixup=0.2"):
        costs.of(costs.config(["data=digits", "model=lenet5_modern", word]))
    assert (len(built), len(reads)) == (1, 1)
    costs.of(costs.config(["data=digits", "model=lenet5_modern", "data.image_size=34"]))
    assert (len(built), len(reads)) == (2, 2)

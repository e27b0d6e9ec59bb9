"""Segmentation, from the words to the finished record."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from cnnlab.callbacks.checkpoint import Checkpoint
from cnnlab.cli import main
from cnnlab.config import check, compose
from cnnlab.config.definitions import find
from cnnlab.config.folder import CONF
from cnnlab.config.signature import attribute
from cnnlab.errors import UserError
from cnnlab.tracking.reading import RunData, read_run
from train import run

QUICK = [
    *("model=resnet20_cifar", "model.width=4", "data=digit_scenes", "data.scenes=20"),
    *("logger=none", "trainer.threads=1", "trainer.max_epochs=1", "trainer.precision=32-true"),
    *("trainer.limit_train_batches=2", "scheduler=constant", "data.batch_size=2"),
    *("callbacks.pictures=null", "data.workers=0"),
]
FIGURES = {"miou", "micro_iou", "dice", "pixel_accuracy", "boundary_f1", "loss"}


def train(runs: Path, *words: str, without: tuple[str, ...] = ()) -> RunData:
    quick = [word for word in QUICK if not word.startswith(without)]
    composed = compose([*quick, *words, f"runs={runs}"])
    check(composed)
    run(composed)
    (folder,) = runs.glob("*/*-s*")
    return read_run(folder)


@pytest.mark.parametrize("loss", sorted(file.stem for file in (CONF / "loss").glob("*.yaml")))
def test_every_loss_trains_or_is_refused(tmp_path, loss):
    target = yaml.safe_load((CONF / "loss" / f"{loss}.yaml").read_text())["_target_"]
    if "segmentation" not in attribute(find(target), "tasks"):
        with pytest.raises(UserError, match=f"loss={loss}: does not fit task=segmentation"):
            train(tmp_path, f"loss={loss}")
        return
    finished = train(tmp_path, f"loss={loss}")
    assert finished.status == "finished"
    assert {key.removeprefix("test/").split("_")[0] for key in finished.metrics} > {"miou", "dice"}
    terms = {key for key in finished.metrics if key.startswith("val/loss_")}
    assert terms == {f"val/loss_{term}" for term in _terms(loss)}


def _terms(loss: str) -> list[str]:
    return {"dice_ce": ["dice", "cross_entropy"], "dice_focal": ["dice", "focal"]}.get(loss, [])


@pytest.mark.parametrize(
    "words",
    [
        ["head=fcn", "callbacks=[default,clip]", "callbacks.gradient_clip.mode=agc"],
        ["head.skips=false", "head.upsampling=pixel_shuffle", "head.depth=2"],
        ["task.window=[96,96]", "task.flip=true", "task.scales=[1.0,0.75]"],
        ["data.image_size=96", "data.augment.flip=true", "data.augment.padding=8"],
        ["loss.class_weights=balanced"],
        ["loss=dice_ce", "recipe.label_smoothing=0.1"],
        ["callbacks=[default,ema]", "trainer.precision=bf16-mixed"],
        ["head=fpn", "+head.arguments.decoder_pyramid_channels=16"],
    ],
    ids=lambda words: " ".join(words),
)
def test_it_trains(tmp_path, words):
    finished = train(tmp_path, *words)
    assert finished.status == "finished"
    assert {f"test/{key}" for key in FIGURES} <= finished.metrics.keys()
    assert all(0 <= finished.metrics[f"test/{key}"] <= 1 for key in FIGURES - {"loss"})
    assert len(finished.results["test/iou_per_class"]) == 11


def test_a_dilated_net_of_timm(tmp_path):
    words = ["model=timm", "model.name=test_resnet", "+model.knobs.output_stride=16"]
    assert train(tmp_path, *words, without=("model",)).status == "finished"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["head=classifier"], "head=classifier: does not fit task=segmentation"),
        (["data.augment.mixup=0.2"], "data.augment.mixup=0.2: data=digit_scenes takes 0.0 only"),
        (["recipe=convnext"], "data.augment.policy=randaugment: data=digit_scenes takes null"),
        (["data.sampler=balanced"], "data.sampler=balanced: data=digit_scenes takes shuffle only"),
        (["task=classification"], "data=digit_scenes: does not fit task=classification"),
        (["task.monitor=val/top1"], "task.monitor=val/top1: task=segmentation logs"),
        (["head.upsampling=nearest"], "head.upsampling=nearest: must be"),
        (["head.depth=9"], "head.depth=9: the net has fewer maps"),
        (["optimizer.layer_decay=0.8"], "optimizer.layer_decay=0.8: UNet has no layer groups"),
        (["task.window=[96]"], "task.window="),
        (["task.overlap=1"], "task.overlap=1: must be at least 0 and below 1"),
        (["loss=dice_ce", "loss.weights.dice=0"], "loss.weights.dice=0: must be above 0"),
        (["loss=dice_focal", "loss.terms.focal.gamma=-1"], "loss.terms.focal.gamma=-1: must be"),
        (["loss=dice_ce", "loss.terms.dice.eps=0"], "loss.terms.dice.eps=0: must be above 0"),
        (["loss=lovasz", "recipe.label_smoothing=0.1"], "loss=lovasz has none"),
        (
            ["loss.class_weights=effective", "data.scenes=200"],
            "loss.class_weights=effective: the rarest class comes",
        ),
        (["data.augment.class_crops=0.5"], "data.augment.class_crops=0.5: data=digit_scenes takes"),
        (["data.scenes=0"], "data.scenes=0: must be at least 1"),
        (["task.scales=[]"], "task.scales=[]: needs one factor or more"),
    ],
)
def test_wrong_words(tmp_path, words, said):
    with pytest.raises(UserError) as caught:
        train(tmp_path, *words)
    lines = str(caught.value).splitlines()
    assert any(said in line for line in lines)


def test_its_test_can_be_repeated_and_averaged_over_mirrored_images(tmp_path, capsys):
    finished = train(tmp_path, "trainer.limit_train_batches=4")
    capsys.readouterr()
    main(["test", str(finished.folder)])
    assert f"{finished.metrics['test/miou']:.4f}" in capsys.readouterr().out
    main(["test", str(finished.folder), "task.flip=true"])
    assert "test/miou" in capsys.readouterr().out


def test_its_backbone_starts_a_classifier_and_the_other_way_round(tmp_path):
    masks = train(tmp_path / "masks")
    words = ["data=digits", "data.batch_size=16", f"model.weights={masks.folder}"]
    child = train(tmp_path / "labels", *words, without=("data=", "data.scenes"))
    assert child.parent["name"] == masks.name
    again = train(tmp_path / "again", f"model.weights={child.folder}")
    assert again.parent["name"] == child.name


@pytest.mark.data
def test_the_sentence_of_the_docs(tmp_path, real_data):
    """`python train.py model=resnext50_32x4d data=camvid head=fcn loss=dice_focal`, made short."""
    words = ["data=camvid", f"data.root={real_data('camvid')}", "head=fcn", "loss=dice_focal"]
    short = ["data.image_size=64", "trainer.limit_train_batches=1", "trainer.limit_val_batches=1"]
    words += ["model=resnext50_32x4d", "trainer.limit_test_batches=1", "data.eval_batch_size=2"]
    finished = train(tmp_path, *words, *short, without=("model", "data=", "data.scenes"))
    assert finished.data["sizes"] == {"train": 367, "val": 101, "test": 233}
    assert finished.data["num_classes"] == 11


class Killed(Exception):
    """Stands for the sudden end of the process."""


@pytest.fixture
def pairs(tmp_path) -> Path:
    """Twelve pictures of 40 x 32 pixels, bright where class 1 is, in the layout of data=masks."""
    draw = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (tmp_path / "set" / kind).mkdir(parents=True)
    for i in range(12):
        mask = (draw.random((4, 5)) > 0.5).repeat(8, 0).repeat(8, 1)
        image = draw.integers(0, 90, (32, 40, 3)) + 120 * mask[..., None]
        Image.fromarray(image.astype(np.uint8)).save(tmp_path / "set" / "images" / f"{i}.png")
        Image.fromarray(mask.astype(np.uint8)).save(tmp_path / "set" / "masks" / f"{i}.png")
    return tmp_path / "set"


def test_a_split_without_a_pixel_that_counts_ends_in_one_line(tmp_path, pairs):
    for kind in ("images", "masks"):
        for split, ids in (("train", range(8)), ("val", range(8, 12))):
            folder = pairs / kind / split
            folder.mkdir()
            for i in ids:
                (pairs / kind / f"{i}.png").rename(folder / f"{i}.png")
    for file in (pairs / "masks" / "val").iterdir():
        Image.new("L", (40, 32), 255).save(file)
    values = "data.values={0: dark, 1: bright, 255: ignore}"
    words = ["data=masks", f"data.root={pairs}", values, "data.image_size=24"]
    with pytest.raises(UserError, match="val: no class is left: every pixel is ignored"):
        train(tmp_path / "runs", *words, without=("data=", "data.scenes"))


def test_a_net_of_one_size_needs_windows(tmp_path, pairs):
    values = "data.values={0: dark, 1: bright}"
    words = ["model=timm", "model.name=vit_tiny_patch16_224", "data=masks", f"data.root={pairs}"]
    words += [values, "data.image_size=224", "data.eval_side=240"]
    runs = tmp_path / "runs"
    without = ("model", "data=", "data.scenes")
    with pytest.raises(UserError, match=r"takes images of 224 x 224 .*: task.window=\[224,224\]"):
        train(runs, *words, without=without)
    assert not runs.exists()
    seen = train(runs, *words, "task.window=[224,224]", without=without)
    assert seen.status == "finished"


def test_a_resumed_run_of_files_equals_the_uninterrupted_one(tmp_path, pairs, monkeypatch):
    words = ["data=masks", f"data.root={pairs}", "data.values={0: dark, 1: bright}"]
    words += ["data.image_size=24", "data.augment.class_crops=0.5", "data.test_fraction=0.2"]
    words += ["data.val_fraction=0.2", "trainer.max_epochs=3", "data.augment.color_jitter=0.3"]
    quick = [w for w in QUICK if not w.startswith(("data=", "data.scenes", "trainer.max_epochs"))]

    def start(runs: Path, *more: str) -> None:
        composed = compose([*quick, *words, *more, f"runs={runs}"])
        check(composed)
        run(composed)

    def state(runs: Path) -> dict[str, torch.Tensor]:
        (file,) = runs.glob("*/*/checkpoints/last.ckpt")
        return torch.load(file, weights_only=True)["state_dict"]

    start(tmp_path / "whole")
    saved = Checkpoint.on_train_epoch_end

    def die(self, trainer, task):
        saved(self, trainer, task)
        if trainer.current_epoch == 1:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "on_train_epoch_end", die)
        with pytest.raises(Killed):
            start(tmp_path / "cut")
    (folder,) = (tmp_path / "cut").glob("*/*")
    start(tmp_path / "cut", f"resume={folder}")
    whole, cut = state(tmp_path / "whole"), state(tmp_path / "cut")
    assert all(torch.equal(cut[key], value) for key, value in whole.items())
    assert read_run(folder).metrics["test/miou"] > 0

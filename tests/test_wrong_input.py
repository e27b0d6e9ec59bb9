"""What a user can get wrong is one line that says what was meant, and exit code 2."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import train

ROOT = Path(__file__).parents[1]


def program(*words: str, verb: str | None = None) -> subprocess.CompletedProcess:
    start = ["train.py"] if verb is None else ["-m", "cnnlab", verb]
    return subprocess.run(
        [sys.executable, *start, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def one_line(done: subprocess.CompletedProcess) -> str:
    assert done.returncode == 2, done.stdout + done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["modle.groups=4"], ["modle", "model"]),
        (["model=resnext50_32x4d", "model.grops=4"], ["model.grops", "groups"]),
        (["model=resnext50_32x4d", "+model.grops=4"], ["model.grops", "groups"]),
        (["+zzz=3"], ["zzz"]),
        (["trainer.max_epochs=abc"], ["trainer.max_epochs", "abc", "whole number"]),
        (["model=resnet5"], ["resnet5", "resnet50"]),
        (["model._target_=os.system"], ["os.system"]),
        (["hydra.callbacks.x._target_=os.system"], ["hydra.callbacks"]),
        (["task.monitor=val/acc"], ["val/acc", "val/"]),
        (["data.fraction=2"], ["data.fraction", "2"]),
        (["data.augment.flipp=true"], ["flipp", "flip"]),
        (["loss=focl"], ["focl", "focal"]),
        (["model=timm"], ["model.name"]),
        (["frobnicate"], ["frobnicate"]),
        (["callbacks=ema"], ["callbacks=[default,ema]"]),
        (["trainer.max_epochs=1"], ["scheduler.warmup_epochs=1.5", "scheduler.warmup_epochs=0"]),
        (["recipe=convnext", "loss=focal"], ["recipe.label_smoothing=0.1", "focal"]),
    ],
)
def test_config_errors(words, says):
    line = one_line(program(*words))
    for word in says:
        assert word in line, line


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["model=timm", "model.name=resnet5x"], ["resnet5x", "did you mean"]),
        (["data=imagenet", "data.root=/nowhere/at/all"], ["/nowhere/at/all"]),
        (["data=cifar10", "data.root=/nowhere/at/all"], ["/nowhere/at/all"]),
        (["trainer.accelerator=gpu"], ["trainer.accelerator=gpu"]),
        (["model.weights=/nowhere.safetensors"], ["/nowhere.safetensors"]),
        (["data.augment.erasing=0.1", "optimizer.name=sdg"], ["optimizer.name=sdg", "sgd"]),
        (["trainer.devices=[0,1]", "trainer.accelerator=cpu"], ["trainer.devices=[0, 1]", "CPU"]),
        (["trainer.limit_train_batches=0.001"], ["limit_train_batches", "0.001"]),
        (["model=timm", "model.name=vit_tiny_patch16_224"], ["3x32x32|1x32x32", "224"]),
    ],
)
def test_errors_found_when_the_run_is_built(words, says, tmp_path, monkeypatch, capsys):
    if "trainer.accelerator=gpu" in words and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    # In this process: each of these has to import torch first.
    monkeypatch.setattr(sys, "argv", ["train.py", "logger=none", f"runs={tmp_path}", *words])
    with pytest.raises(SystemExit) as stop:
        train.main()
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    for word in says:
        assert re.search(word.replace("[", r"\["), line), line
    late = (
        "optimizer.name=sdg",
        "trainer.limit_train_batches=0.001",
        "model.name=vit_tiny_patch16_224",
    )
    if not set(late) & set(words):  # those are found when the net runs or the trainer starts
        assert not list(tmp_path.iterdir()), "a run that could not start leaves no folder"


def test_checkpoint_of_another_class_count(tmp_path):
    digits = ["model=lenet5_modern", "logger=none", f"runs={tmp_path}", "callbacks.pictures=null"]
    short = ["trainer.max_epochs=1", "scheduler=constant", "data.fraction=0.05"]
    done = program(*digits, *short)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "digits-lenet5_modern" / "001-s0"
    # The same images as a folder with two classes.
    from PIL import Image
    from sklearn.datasets import load_digits

    digits_ = load_digits()
    for split in ("train", "val"):
        for label in (0, 1):
            target = tmp_path / "two" / split / str(label)
            target.mkdir(parents=True)
            for i, image in enumerate(digits_.images[digits_.target == label][:12]):
                grey = Image.fromarray((image * 255 / 16).astype("uint8")).resize((32, 32))
                grey.convert("RGB").save(target / f"{i}.png")
    other = ["data=image_folder", f"data.root={tmp_path}/two", "data.image_size=32"]
    line = one_line(program(str(folder / "checkpoints" / "best.ckpt"), *other, verb="test"))
    assert "10 classes" in line
    assert "2 classes" in line
    shutil.rmtree(tmp_path / "two")


@pytest.mark.parametrize("words", [["--help"], ["-h"]])
def test_help_is_our_own_page(words):
    done = program(*words)
    assert done.returncode == 0
    assert "model=" in done.stdout
    assert "Powered by Hydra" not in done.stdout


def test_hydras_own_flags_still_work():
    done = program("--cfg", "job")
    assert done.returncode == 0, done.stderr
    assert "resnet20_cifar" in done.stdout


def test_tab_completion_offers_models():
    done = subprocess.run(
        [sys.executable, "train.py", "-sc", "query=bash"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ
        | {"COMP_LINE": "python train.py model=resnext", "COMP_POINT": "29", "COMP_CWORD": "2"},
    )
    assert "model=resnext50_32x4d" in done.stdout, done.stdout + done.stderr

"""An interrupted run, continued, equals the uninterrupted one to the bit (CPU, equal threads)."""

from pathlib import Path

import pytest
import torch

from cnnlab.callbacks.checkpoint import Checkpoint
from cnnlab.config import check, compose
from cnnlab.errors import UserError
from cnnlab.tracking.reading import read_run
from train import run

WORDS = [
    "logger=none",
    "model=resnet20_cifar",
    "model.width=4",
    "model.drop_path=0.3",
    "data.fraction=0.2",
    "data.augment.mixup=0.2",
    "data.augment.erasing=0.5",
    "trainer.max_epochs=3",
    "trainer.threads=1",
    "trainer.log_every=1",
    "callbacks.pictures=null",
]
EMA = "callbacks.ema={_target_: cnnlab.callbacks.ema.EMA, decay: 0.9, warmup: true}"
PLATEAU = ["scheduler=plateau", "scheduler.patience=0", "optimizer.lr=1.0"]


class Killed(Exception):
    """Stands for the sudden end of the process."""


def start(*words: str) -> None:
    composed = compose([*WORDS, *words])
    check(composed)
    run(composed)


def state(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)


def history(folder: Path) -> dict[str, list[float]]:
    keys = ("train/loss", "train/lr", "val/loss", "val/top1", "test/loss")
    return {key: read_run(folder).history[key].values for key in keys}


def equal(a: object, b: object) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    return a == b


@pytest.mark.parametrize("where", ["epoch end", "mid epoch"])
@pytest.mark.parametrize("words", [[], [EMA], PLATEAU], ids=["plain", "ema", "plateau"])
def test_resumed_equals_uninterrupted(tmp_path, monkeypatch, words, where):
    start(f"runs={tmp_path}/whole", *words)
    whole = tmp_path / "whole" / "digits-resnet20_cifar" / "001-s0"

    saved = Checkpoint.on_train_epoch_end
    stepped = Checkpoint.on_train_batch_end

    def die_after_saving(self, trainer, task):
        saved(self, trainer, task)
        if trainer.current_epoch == 1 and where == "epoch end":
            raise Killed

    def die_in_the_third_epoch(self, trainer, task, *rest):
        stepped(self, trainer, task, *rest)
        if trainer.current_epoch == 2 and rest[-1] == 1 and where == "mid epoch":
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "on_train_epoch_end", die_after_saving)
        patch.setattr(Checkpoint, "on_train_batch_end", die_in_the_third_epoch)
        with pytest.raises(Killed):
            start(f"runs={tmp_path}/cut", *words)
    cut = tmp_path / "cut" / "digits-resnet20_cifar" / "001-s0"
    assert read_run(cut).status == "failed"

    start(f"runs={tmp_path}/cut", f"resume={cut}", *words)
    assert read_run(cut).status == "finished"
    assert history(cut) == history(whole)
    ours, theirs = state(cut), state(whole)
    assert equal(ours["state_dict"], theirs["state_dict"])
    assert equal(ours["optimizer_states"], theirs["optimizer_states"])
    assert equal(ours["lr_schedulers"], theirs["lr_schedulers"])


def test_what_cannot_be_resumed_is_one_line(tmp_path):
    with pytest.raises(UserError, match="not a run folder"):
        start(f"runs={tmp_path}", f"resume={tmp_path}")
    start(f"runs={tmp_path}", "trainer.max_epochs=1", "scheduler.warmup_epochs=0")
    folder = tmp_path / "digits-resnet20_cifar" / "001-s0"
    with pytest.raises(UserError, match="already finished"):
        start(
            f"runs={tmp_path}",
            f"resume={folder}",
            "trainer.max_epochs=1",
            "scheduler.warmup_epochs=0",
        )

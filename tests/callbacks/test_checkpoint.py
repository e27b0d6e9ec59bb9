import math
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from cnnlab.callbacks.checkpoint import Checkpoint, NonFiniteWeightsError
from cnnlab.errors import UserError
from cnnlab.tracking.checkpoint_io import AtomicCheckpointIO
from cnnlab.tracking.reading import read_run
from cnnlab.tracking.record import RunRecord

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


class Tiny(LightningModule):
    """Learns 32 points; what validation says of each epoch is given."""

    def __init__(self, scores: list[float], mode: str = "max", monitor: str = "val/top1") -> None:
        super().__init__()
        self.net = nn.Linear(4, 2)
        self.scores, self.mode, self.monitor = scores, mode, monitor

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        loss = nn.functional.cross_entropy(self.net(batch[0]), batch[1])
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val/top1", self.scores[self.current_epoch])

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.5, momentum=0.9)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)]

    def train_dataloader(self) -> DataLoader:
        generator = torch.Generator().manual_seed(0)
        points = torch.randn(32, 4, generator=generator)
        return DataLoader(TensorDataset(points, (points[:, 0] > 0).long()), 8)

    val_dataloader = train_dataloader


class Killed(BaseException):
    """Stands for the end of the process."""


class Kill(Callback):
    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch == self.epoch:
            raise Killed


def fit(
    config: dict[str, Any], task: Tiny, *callbacks: Callback, **trainer: Any
) -> tuple[Path, Checkpoint]:
    checkpoint = Checkpoint()
    with RunRecord.open(config, {"model": "tiny", "data": "toy"}, []) as record:
        settings = {"accelerator": "cpu", "max_epochs": len(task.scores), "log_every_n_steps": 1}
        new = Trainer(
            **settings | trainer,
            logger=[record],
            callbacks=[checkpoint, *callbacks],
            plugins=[AtomicCheckpointIO()],
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        new.fit(task, ckpt_path=record.last_checkpoint)
    assert record.folder is not None
    return record.folder, checkpoint


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    return {
        "runs": str(tmp_path / "runs"),
        "resume": None,
        "seed": 0,
        "name": None,
        "model": {"name": "tiny", "weights": None},
        "trainer": {"threads": 1},
    }


def epoch_of(folder: Path, name: str) -> int:
    path = folder / "checkpoints" / f"{name}.ckpt"
    return torch.load(path, weights_only=True)["global_step"] // 4 - 1


@pytest.mark.parametrize(
    ("scores", "mode", "best"),
    [
        ([0.1, 0.3, 0.2], "max", 1),
        ([0.3, 0.1, 0.2], "min", 1),
        ([math.nan, 0.1, math.inf], "max", 1),
        ([0.5, -math.inf, math.nan], "min", 0),
        ([0.2, 0.2, 0.2], "max", 0),
        ([0.1, 0.2, 0.3], "max", 2),
    ],
)
def test_best_is_the_first_best_finite_value_and_last_the_last(config, scores, mode, best):
    folder, checkpoint = fit(config, Tiny(scores, mode))
    assert epoch_of(folder, "last") == 2
    assert epoch_of(folder, "best") == best
    expected = {"key": "val/top1", "mode": mode, "epoch": best, "step": 4 * (best + 1)}
    run = read_run(folder)
    assert run.best == expected | {"value": pytest.approx(scores[best])}
    assert checkpoint.best_model_path == str(folder / "checkpoints" / "best.ckpt")
    both = [folder / "checkpoints" / f"{name}.ckpt" for name in ("best", "last")]
    assert both[0].samefile(both[1]) == (best == 2)
    assert {p.name for p in (folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}


def test_no_finite_value_leaves_no_best(config):
    folder, checkpoint = fit(config, Tiny([math.nan] * 2))
    assert [p.name for p in (folder / "checkpoints").iterdir()] == ["last.ckpt"]
    assert (read_run(folder).best, checkpoint.best_model_path) == (None, "")


def test_only_epochs_that_were_validated_count(config):
    folder, _ = fit(config, Tiny([0.9, 0.5, 0.9, 0.4]), check_val_every_n_epoch=2)
    assert epoch_of(folder, "best") == 1


def test_a_monitor_that_is_never_logged_is_named(config):
    with pytest.raises(UserError, match=r"task.monitor=val/map: .*logged: val/top1"):
        fit(config, Tiny([0.1], monitor="val/map"))


@pytest.mark.parametrize("kill_at", [1, 3])
def test_a_killed_run_continued_equals_the_whole_one(config, kill_at):
    scores = [0.1, 0.4, 0.2, 0.3]
    torch.manual_seed(0)
    whole, _ = fit(config, Tiny(scores))
    torch.manual_seed(0)
    with pytest.raises(Killed):
        fit(config, Tiny(scores), Kill(kill_at))
    folder = whole.parent / "002-s0"
    # The process may end between the two files: best.ckpt is made again from last.ckpt.
    if kill_at == 1:
        (folder / "checkpoints" / "best.ckpt").unlink()
    fit(config | {"resume": str(folder)}, Tiny(scores))
    for name in ("best", "last"):
        states = [
            torch.load(at / "checkpoints" / f"{name}.ckpt", weights_only=True)
            for at in (whole, folder)
        ]
        assert states[0]["global_step"] == states[1]["global_step"]
        for key in ("state_dict", "optimizer_states", "lr_schedulers"):
            torch.testing.assert_close(states[0][key], states[1][key], rtol=0, atol=0)
    first, second = read_run(whole), read_run(folder)
    assert second.status == "finished"
    assert second.best == first.best
    for key in ("train/loss", "val/top1"):
        assert first.history[key].steps == second.history[key].steps
        assert first.history[key].values == second.history[key].values


class Spoil(Callback):
    """Breaks a weight in the last step of the second epoch, after its loss was finite."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == 8:
            pl_module.net.weight.data[0, 0] = math.nan


def test_broken_weights_never_replace_a_good_checkpoint(config, tmp_path):
    with pytest.raises(NonFiniteWeightsError, match=r"net.weight is not finite at step 8"):
        fit(config, Tiny([0.1, 0.9, 0.9]), Spoil())
    folder = tmp_path / "runs" / "toy-tiny" / "001-s0"
    assert epoch_of(folder, "last") == epoch_of(folder, "best") == 0
    run = read_run(folder)
    assert run.status == "failed"
    assert run.reason.startswith("NonFiniteWeightsError: net.weight")


def test_a_file_system_without_hard_links(config, monkeypatch):
    def refuse(*_: Any) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    folder, _ = fit(config, Tiny([0.1, 0.2]))
    assert epoch_of(folder, "best") == 1


def test_weights_alone_cannot_be_resumed(config):
    with pytest.raises(Killed):
        fit(config, Tiny([0.1, 0.2]), Kill(1))
    folder = Path(config["runs"]) / "toy-tiny" / "001-s0"
    path = folder / "checkpoints" / "last.ckpt"
    checkpoint = torch.load(path, weights_only=True) | {"optimizer_states": []}
    torch.save(checkpoint, path)
    with pytest.raises(UserError, match="no optimizer state"):
        fit(config | {"resume": str(folder)}, Tiny([0.1, 0.2]))


@pytest.mark.skipif(sys.platform != "linux", reason="gloo's script launcher is tried on Linux")
def test_two_processes_share_one_folder(config, tmp_path):
    """Lightning starts the second process by running this file again, which needs a script."""
    import json
    import subprocess

    script = tmp_path / "ddp.py"
    script.write_text(
        "import importlib.util, json, sys\n"
        "spec = importlib.util.spec_from_file_location('helper', sys.argv[1])\n"
        "helper = importlib.util.module_from_spec(spec); spec.loader.exec_module(helper)\n"
        "folder, checkpoint = helper.fit(json.loads(sys.argv[2]), helper.Tiny([0.1, 0.2]),\n"
        "    strategy='ddp', devices=2)\n"
        "print('FOLDER', folder, checkpoint.best_model_path)\n"
    )
    done = subprocess.run(
        [sys.executable, script, __file__, json.dumps(config)],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "runs" / "toy-tiny" / "001-s0"
    said = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("FOLDER")]
    assert said == [[str(folder), str(folder / "checkpoints" / "best.ckpt")]] * 2
    assert [p.name for p in folder.parent.iterdir()] == ["001-s0"]
    assert read_run(folder).status == "finished"
    assert read_run(folder).environment["world_size"] == 2
    assert read_run(folder).history["val/top1"].values == pytest.approx([0.1, 0.2])
    rows = (folder / "metrics.csv").read_text().splitlines()
    assert len([row for row in rows if "val/top1" in row]) == 2

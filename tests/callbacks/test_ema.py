from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from cnnlab.callbacks.ema import EMA


class Task(LightningModule):
    """One weight that SGD moves by 1 a step, and a BatchNorm with its statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
        nn.init.zeros_(self.net[0].weight)
        self.seen: list[float] = []
        self.tested: list[float] = []

    def weight(self) -> float:
        return float(self.net[0].weight.detach())

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        self.net(torch.randn(8, 1))
        return -self.net[0].weight.sum()

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.seen.append(self.weight())

    def test_step(self, batch: Tensor, batch_idx: int) -> None:
        self.tested.append(self.weight())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD([self.net[0].weight], lr=1.0)


def batches(count: int) -> DataLoader:
    return DataLoader(torch.zeros(count, 1), batch_size=1)


def trainer(folder: Path, ema: EMA, epochs: int = 1, **given) -> Trainer:
    return Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        default_root_dir=folder,
        callbacks=[ema],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        num_sanity_val_steps=0,
        **given,
    )


def expected(steps: int, ema: EMA) -> float:
    average = 0.0
    for n in range(steps):
        decay = ema.decay_at(n)
        average = decay * average + (1 - decay) * (n + 1)
    return average


@pytest.mark.parametrize("warmup", [False, True])
def test_the_average_is_the_formula_and_takes_the_nets_place(tmp_path, warmup):
    ema, task = EMA(decay=0.9, warmup=warmup), Task()
    run = trainer(tmp_path, ema, epochs=2)
    run.fit(task, batches(5), batches(1))
    assert task.seen == pytest.approx([expected(5, ema), expected(10, ema)], rel=1e-5)
    assert task.weight() == pytest.approx(expected(10, ema), rel=1e-5)  # after training


def test_warmup_shortens_the_average():
    assert EMA(decay=0.99, warmup=True).decay_at(0) == 0.1
    assert EMA(decay=0.99, warmup=True).decay_at(10_000) == 0.99
    assert EMA(decay=0.99, warmup=False).decay_at(0) == 0.99


def test_the_trainer_that_trained_tests_the_average_of_a_checkpoint(tmp_path):
    """Lightning's own callback tests the other weights here."""
    ema, task = EMA(decay=0.9, warmup=False), Task()

    class Save(EMA):
        def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
            trainer.save_checkpoint(tmp_path / "a.ckpt")

    ema.__class__ = Save
    run = trainer(tmp_path, ema)
    run.fit(task, batches(5), batches(1))
    with torch.no_grad():
        task.net[0].weight.fill_(77)
    run.test(task, batches(1), ckpt_path=tmp_path / "a.ckpt", weights_only=True)
    assert task.tested == pytest.approx([expected(5, ema)], rel=1e-5)
    saved = torch.load(tmp_path / "a.ckpt", weights_only=True)
    assert float(saved["ema"]["weights"]["net.0.weight"]) == 5


def test_accumulated_batches_are_one_step(tmp_path):
    ema, task = EMA(decay=0.9, warmup=False), Task()
    trainer(tmp_path, ema, accumulate_grad_batches=5).fit(task, batches(10))
    assert task.weight() == pytest.approx(expected(2, ema), rel=1e-5)


def test_statistics_are_averaged_and_counters_are_not(tmp_path):
    ema, task = EMA(decay=0.5, warmup=False), Task()
    trainer(tmp_path, ema).fit(task, batches(3))
    assert set(ema._average) == {"net.0.weight"} | {
        f"net.1.{name}" for name in ("weight", "bias", "running_mean", "running_var")
    }
    assert int(task.net[1].num_batches_tracked) == 3

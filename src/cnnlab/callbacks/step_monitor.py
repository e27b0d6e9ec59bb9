"""The training loss, without waiting for the device; a guard against non-finite ones."""

import math
import time
from collections import deque
from typing import Any, NamedTuple

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from cnnlab.data.batch import Batch
from cnnlab.tracking.record import RunRecord


class NonFiniteLossError(RuntimeError):
    """A training loss was NaN or infinite."""


class _Step(NamedTuple):
    step: int
    epoch: int
    learning_rate: float
    ids: Tensor
    loss: Tensor


class _Window(NamedTuple):
    """Steps whose losses are on their way to the host; read when they have arrived."""

    steps: list[_Step]
    losses: Tensor
    arrived: torch.cuda.Event | None


class StepMonitor(Callback):
    """Logs `train/loss`, `train/lr` and `time/images_per_s` every `trainer.log_every` steps.

    On a GPU losses are gathered there, copied in the background and read at a later step, so a
    step never waits; every loss is checked, and all are before a checkpoint is written. On the CPU
    each is checked at its own step.

    Raises:
        NonFiniteLossError: naming step, learning rate and the ids of the batch.
    """

    def __init__(self) -> None:
        self._pending: list[_Step] = []
        self._windows: deque[_Window] = deque()
        self._images = 0
        self._since = self._until = 0.0
        self.last_loss = math.nan
        """The newest loss that has arrived; for the progress bar."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Who watches sees by it how far the steps below are.
        RunRecord.of(trainer).trains(int(trainer.estimated_stepping_batches))

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._images, self._since = 0, time.perf_counter()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        accumulate = trainer.accumulate_grad_batches
        # Lightning has divided it, for the gradient.
        loss = outputs["loss"] * accumulate if accumulate > 1 else outputs["loss"]
        lr = trainer.optimizers[0].param_groups[0]["lr"]
        step = _Step(trainer.global_step, trainer.current_epoch, lr, batch.ids, loss)
        self._pending.append(step)
        self._images += len(batch.ids)
        self._until = time.perf_counter()  # the rate leaves out what follows: validation
        if loss.device.type == "cpu":
            self.last_loss = float(loss)
            if not math.isfinite(self.last_loss):
                self._stop(step, self.last_loss)
        # Set by Lightning's connectors.
        if len(self._pending) >= trainer.log_every_n_steps * accumulate:  # type: ignore[attr-defined]
            self._send()
            self._read(trainer, wait=False)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.flush(trainer)

    def flush(self, trainer: Trainer) -> None:
        """Read every loss so far; the device has to finish its steps first."""
        self._send()
        self._read(trainer, wait=True)

    def _send(self) -> None:
        if not self._pending:
            return
        steps, self._pending = self._pending, []
        losses = torch.stack([step.loss for step in steps])
        arrived = None
        if losses.is_cuda:
            host = torch.empty(losses.shape, dtype=losses.dtype, pin_memory=True)
            losses = host.copy_(losses, non_blocking=True)
            arrived = torch.cuda.Event()
            arrived.record()
        else:
            losses = losses.cpu()
        self._windows.append(_Window(steps, losses, arrived))

    def _read(self, trainer: Trainer, wait: bool) -> None:
        while self._windows:
            window = self._windows[0]
            if window.arrived is not None:
                if wait:
                    window.arrived.synchronize()
                elif not window.arrived.query():
                    return
            self._windows.popleft()
            losses = window.losses.tolist()
            for step, loss in zip(window.steps, losses, strict=True):
                if not math.isfinite(loss):
                    self._stop(step, loss)
            self.last_loss = losses[-1]
            self._log(trainer, window.steps[-1], sum(losses) / len(losses))

    def _log(self, trainer: Trainer, step: _Step, loss: float) -> None:
        rate = self._images * trainer.world_size / max(self._until - self._since, 1e-9)
        self._images, self._since = 0, self._until
        values = {
            "train/loss": loss,
            "train/lr": step.learning_rate,
            "time/images_per_s": rate,
            "epoch": step.epoch,
        }
        for logger in trainer.loggers:
            logger.log_metrics(values, step=step.step)

    @staticmethod
    def _stop(step: _Step, loss: float) -> None:
        ids = ", ".join(map(str, step.ids.tolist()[:16])) + (", ..." if len(step.ids) > 16 else "")
        raise NonFiniteLossError(
            f"the training loss is {loss} at step {step.step} (epoch {step.epoch}, learning rate "
            f"{step.learning_rate:.3g}, images {ids}); no checkpoint was written after it. "
            "Lower optimizer.lr, warm up longer, or clip: callbacks.gradient_clip"
        )

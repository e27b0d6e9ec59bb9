"""How far the run is: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from tqdm import tqdm

from cnnlab.callbacks.step_monitor import StepMonitor
from cnnlab.figure import figure


class Progress(Callback):
    """One line an epoch, with the task's own metrics; on a terminal also a bar within the epoch.

    Elsewhere (a log file, a notebook server, CI) a line also after a minute without one.
    """

    quiet_s = 60.0

    def __init__(self) -> None:
        self._bar: tqdm | None = None
        self._epoch_start = self._last_line = 0.0
        self._monitor: StepMonitor | None = None
        self._validated = False

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._validated = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Set by Lightning's connectors.
        found = [c for c in trainer.callbacks if isinstance(c, StepMonitor)]  # type: ignore[attr-defined]
        self._monitor = found[0] if found else None

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._epoch_start = self._last_line = time.monotonic()
        if trainer.is_global_zero and sys.stderr.isatty():
            self._bar = tqdm(
                total=int(trainer.num_training_batches),
                desc=self._epoch(trainer),
                leave=False,
                dynamic_ncols=True,
                unit="step",
                mininterval=0.2,
            )

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if self._bar is not None:
            # tqdm redraws at most every 0.2 s; the loss is set only then, for it costs more.
            if self._bar.update():
                self._bar.set_postfix(loss=f"{self._loss():.4f}", refresh=False)
        elif time.monotonic() - self._last_line > self.quiet_s:
            self._last_line = time.monotonic()
            done = f"{batch_idx + 1}/{int(trainer.num_training_batches)} steps"
            self._say(trainer, f"{self._epoch(trainer)}  {done}  train/loss {self._loss():.4f}")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._close()
        seconds = time.monotonic() - self._epoch_start
        left = (trainer.max_epochs or 0) - trainer.current_epoch - 1
        logged = trainer.callback_metrics.items() if self._validated else ()
        self._validated = False
        values = {k: float(v) for k, v in logged if k.startswith("val/")}
        words = [self._epoch(trainer), f"{seconds:6.1f} s", f"train/loss {self._loss():.4f}"]
        words += [f"{key} {figure(value)}" for key, value in values.items()]
        if left > 0:
            words.append(f"{_clock(left * seconds)} left")
        self._say(trainer, "  ".join(words))

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        self._close()

    def _loss(self) -> float:
        return self._monitor.last_loss if self._monitor else float("nan")

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    @staticmethod
    def _epoch(trainer: Trainer) -> str:
        return f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"

    @staticmethod
    def _say(trainer: Trainer, line: str) -> None:
        if trainer.is_global_zero:
            print(line, flush=True)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"

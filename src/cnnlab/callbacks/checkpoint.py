"""`checkpoints/last.ckpt` after every epoch, `checkpoints/best.ckpt` where val was best."""

import math
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint as LightningCheckpoint
from lightning.pytorch.trainer.states import TrainerFn

from cnnlab.atomic import replacing
from cnnlab.errors import UserError
from cnnlab.tracking.record import RunRecord


class NonFiniteWeightsError(RuntimeError):
    """A weight became NaN or infinite although the loss did not."""


class Checkpoint(LightningCheckpoint):
    """Saves at the end of each training epoch, after validation.

    `best.ckpt` is the epoch with the best `task.monitor`; only finite values count, and of equal
    ones the first. Both are one file on disk where they are the same epoch. What is saved went
    through the checks of the loss first, so a broken run never replaces a good checkpoint: being a
    Lightning `Checkpoint`, this is the last callback of an epoch.

    Raises:
        NonFiniteWeightsError: naming the first such tensor, in all processes.
        UserError: validation does not log what `task.monitor` asks for.
    """

    def __init__(self) -> None:
        self._best: dict[str, Any] | None = None
        self._folder: Path | None = None
        self._value: float | None = None

    @property
    def best_model_path(self) -> str:
        """For `trainer.test(ckpt_path="best")`; empty where val never gave a finite value."""
        return str(self._path("best")) if self._best is not None else ""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._folder = RunRecord.of(trainer).share(trainer) / "checkpoints"

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking:
            return
        key = str(pl_module.monitor)
        if key not in trainer.callback_metrics:
            logged = ", ".join(k for k in trainer.callback_metrics if k.startswith("val/"))
            raise UserError(f"task.monitor={key}: not logged by this task (logged: {logged})")
        self._value = float(trainer.callback_metrics[key])

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._check_weights(trainer, pl_module)
        # An epoch without validation (trainer.validate_every) cannot be the best.
        value, self._value = self._value, None
        improved = value is not None and self._improves(value, str(pl_module.mode))
        if improved:
            self._best = {
                "key": pl_module.monitor,
                "mode": pl_module.mode,
                "value": value,
                "epoch": trainer.current_epoch,
                "step": trainer.global_step,
            }
        trainer.save_checkpoint(self._path("last"), weights_only=False)  # collective
        if improved and trainer.is_global_zero:
            self._take_last_as_best(trainer)

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if trainer.state.fn != TrainerFn.FITTING:
            return
        if not checkpoint.get("optimizer_states"):
            raise UserError(
                "the checkpoint holds no optimizer state, so training cannot go on from it; "
                "start from its weights: model.weights=RUN"
            )
        RunRecord.of(trainer).went_back_to(checkpoint["global_step"])
        best = checkpoint["callbacks"].get(self.state_key, {}).get("best")
        # A kill may have come between the two files.
        if best and best["step"] == checkpoint["global_step"] and trainer.is_global_zero:
            self._best = best
            self._take_last_as_best(trainer)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._best = state_dict["best"]

    def _path(self, name: str) -> Path:
        assert self._folder is not None, "setup gives the folder"
        return self._folder / f"{name}.ckpt"

    def _improves(self, value: float, mode: str) -> bool:
        if not math.isfinite(value):
            return False
        if self._best is None:
            return True
        best = self._best["value"]
        return value > best if mode == "max" else value < best

    def _take_last_as_best(self, trainer: Trainer) -> None:
        last, best = self._path("last"), self._path("best")
        if not (best.exists() and best.samefile(last)):
            with replacing(best, last.stat().st_size) as part:
                try:
                    os.link(last, part)
                except OSError:  # a file system without hard links
                    shutil.copyfile(last, part)
        RunRecord.of(trainer).best(**self._best)  # type: ignore[arg-type]  # not None once saved

    @staticmethod
    def _check_weights(trainer: Trainer, pl_module: LightningModule) -> None:
        tensors = {k: v for k, v in pl_module.state_dict().items() if v.is_floating_point()}
        finite = torch.stack([torch.isfinite(v).all() for v in tensors.values()]).cpu()
        # Running statistics differ between processes, but all must stop together.
        if not trainer.strategy.reduce_boolean_decision(bool(finite.all()), all=True):
            names = [k for k, ok in zip(tensors, finite.tolist(), strict=True) if not ok]
            raise NonFiniteWeightsError(
                f"{names[0] if names else 'a weight in another process'} is not finite at step "
                f"{trainer.global_step} (epoch {trainer.current_epoch}); no checkpoint was written "
                "after it. Lower optimizer.lr, warm up longer, or clip: callbacks.gradient_clip"
            )

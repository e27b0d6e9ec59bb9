"""Averaged weights: an exponential moving average that is validated, saved and tested.

Lightning's own callback reads a counter back from the device twice a step, averages metric states
too, and, with the trainer that trained, tests the weights that are not averaged.
"""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn


class EMA(Callback):
    """`average = decay * average + (1 - decay) * weights` after each optimizer step.

    Weights and floating-point buffers (BatchNorm's statistics) of the net are averaged, in float32.
    The average takes the net's place while it is validated, in every checkpoint and after training.

    Args:
        decay: in (0, 1).
        warmup: after n steps the decay is at most (1 + n) / (10 + n), so that a short run's average
            forgets its random start (as TensorFlow's `ExponentialMovingAverage` has it).
    """

    def __init__(self, *, decay: float, warmup: bool) -> None:
        self.decay, self.warmup = decay, warmup
        self._steps = 0
        self._last_step = 0
        self._weights: dict[str, Tensor] = {}  # aliases of the net's tensors, looked up once
        self._average: dict[str, Tensor] | None = None

    def decay_at(self, steps: int) -> float:
        """The decay of the update after `steps` updates."""
        return min(self.decay, (1 + steps) / (10 + steps)) if self.warmup else self.decay

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._weights = _averaged(pl_module)
        if self._average is None:  # else it comes from a checkpoint
            self._average = {name: value.float().clone() for name, value in self._weights.items()}
        device = pl_module.device
        self._average = {name: value.to(device) for name, value in self._average.items()}
        self._last_step = trainer.global_step

    @torch.no_grad()
    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if trainer.global_step == self._last_step:  # gradients are being accumulated
            return
        self._last_step = trainer.global_step
        assert self._average is not None
        current = [value.float() for value in self._weights.values()]
        share = 1 - self.decay_at(self._steps)
        torch._foreach_lerp_(list(self._average.values()), current, share)
        self._steps += 1

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == TrainerFn.FITTING:
            self._swap()

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == TrainerFn.FITTING:
            self._swap()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._swap()

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """The average under the net's names, and apart from it what training goes on from."""
        if trainer.state.fn != TrainerFn.FITTING or self._average is None:
            return
        state = checkpoint["state_dict"]
        checkpoint["ema"] = {
            "steps": self._steps,
            "weights": {name: state[name] for name in self._average},
            "average": dict(self._average),  # in float32, whatever the net's precision
        }
        for name, value in self._average.items():
            state[name] = value.to(state[name].dtype)

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """For going on with training only: a test keeps the average it has loaded."""
        if trainer.state.fn != TrainerFn.FITTING:
            return
        kept = checkpoint.get("ema")
        if kept is None:  # of a run without an average: it starts here
            return
        self._steps, self._average = kept["steps"], kept["average"]
        with torch.no_grad():
            for name, value in _averaged(pl_module).items():
                value.copy_(kept["weights"][name])

    @torch.no_grad()
    def _swap(self) -> None:
        assert self._average is not None
        for name, value in self._weights.items():
            before = value.float().clone()
            value.copy_(self._average[name])
            self._average[name].copy_(before)


def _averaged(task: nn.Module) -> dict[str, Tensor]:
    """What is averaged, by its name in a checkpoint."""
    # nn.Module types attributes as Tensor or Module.
    state = task.net.state_dict(prefix="net.")  # type: ignore[union-attr]
    return {name: value for name, value in state.items() if value.is_floating_point()}

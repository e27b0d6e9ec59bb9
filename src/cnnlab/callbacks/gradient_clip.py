"""Gradient clipping, also adaptive."""

from typing import Literal

from lightning.pytorch import Callback, LightningModule, Trainer
from timm.utils.clip_grad import dispatch_clip_grad
from torch.optim import Optimizer


class GradientClip(Callback):
    """Clip gradients before each optimizer step, after unscaling.

    `agc`: each filter's gradient norm to `value` times its weight norm (Brock et al. 2021, NFNet;
    0.01); the last layer is left out, as in the paper.
    """

    def __init__(self, *, value: float, mode: Literal["norm", "value", "agc"]) -> None:
        self.value = value
        self.mode = mode

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        parameters = [p for p in pl_module.parameters() if p.requires_grad and p.grad is not None]
        if self.mode == "agc":
            parameters = parameters[:-2]  # weight and bias of the last layer
        dispatch_clip_grad(parameters, self.value, mode=self.mode)

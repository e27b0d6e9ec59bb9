"""Gradient clipping, also adaptive."""

from typing import Literal

from lightning.pytorch import Callback, LightningModule, Trainer
from timm.utils.clip_grad import dispatch_clip_grad
from torch.nn import Parameter
from torch.optim import Optimizer


class GradientClip(Callback):
    """Clip gradients before each optimizer step, after unscaling.

    `agc`: each filter's gradient norm to `value` times its weight norm (Brock et al. 2021, NFNet;
    0.01); the last layer (the net's `get_classifier`) is left out, as in the paper.
    """

    def __init__(self, *, value: float, mode: Literal["norm", "value", "agc"]) -> None:
        self.value = value
        self.mode = mode

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        last: set[Parameter] = set()
        if self.mode == "agc":
            # nn.Module types attributes as Tensor or Module.
            layers = pl_module.net.get_classifier()  # type: ignore[union-attr, operator]
            for layer in layers if isinstance(layers, tuple) else (layers,):
                last |= set(layer.parameters())
        parameters = [p for p in pl_module.parameters() if p.grad is not None and p not in last]
        dispatch_clip_grad(parameters, self.value, mode=self.mode)

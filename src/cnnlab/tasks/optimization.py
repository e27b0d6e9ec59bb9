"""Optimizers and learning-rate schedules, through timm's factories."""

from typing import Any, Literal

from timm.optim import create_optimizer_v2, list_optimizers
from timm.scheduler import create_scheduler_v2
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from cnnlab.errors import UserError, nearest


def optimizer(
    net: nn.Module,
    *,
    name: str,
    lr: float,
    weight_decay: float,
    decay_norm_and_bias: bool,
    layer_decay: float | None,
    momentum: float | None = None,
    betas: tuple[float, float] | None = None,
    eps: float | None = None,
    alpha: float | None = None,
) -> Optimizer:
    """The optimizer `name` of timm over the parameters of `net` that require a gradient.

    `lr` is used as written, whatever the batch size. With `layer_decay` d, a layer n layers below
    the head learns at `lr * d**n` (Clark et al. 2020; timm's layer groups).
    None means: not an argument of this optimizer.

    Raises:
        UserError: an unknown name, or an argument that the optimizer or the net does not have.
    """
    names = [str(known) for known in list_optimizers()]
    if name.lower() not in names:
        raise UserError(f"optimizer.name={name}: not in timm.optim{nearest(name, names)}")
    if layer_decay is not None and not hasattr(net, "group_matcher"):
        raise UserError(
            f"optimizer.layer_decay={layer_decay}: {type(net).__name__} has no layer groups; null"
        )
    given = {"momentum": momentum, "betas": betas, "eps": eps, "alpha": alpha}
    args: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    try:
        return create_optimizer_v2(
            net,
            opt=name,
            lr=lr,
            weight_decay=weight_decay,
            filter_bias_and_bn=not decay_norm_and_bias,
            layer_decay=layer_decay,
            **args,
        )
    except TypeError as error:
        raise UserError(f"optimizer={name}: {error}") from error


def scheduler(
    optimizer: Optimizer,
    epochs: float,
    updates_per_epoch: int,
    mode: Literal["min", "max"],
    *,
    name: Literal["cosine", "poly", "linear", "multistep", "step", "plateau", "constant"],
    warmup_epochs: float,
    warmup_lr: float,
    min_lr: float,
    milestones: list[float] | None = None,
    decay_epochs: float | None = None,
    decay_rate: float | None = None,
    patience: int | None = None,
) -> Any:
    """A timm schedule that moves once an update; epochs in its arguments may be fractions.

    Warm-up is linear from `warmup_lr`, part of the `epochs`. `plateau` (no warm-up) moves once an
    epoch and watches the task's monitor.

    Raises:
        UserError: warm-up as long as the run, decay by less than a step, or an argument that the
            schedule needs is missing.
    """
    if warmup_epochs and warmup_epochs >= epochs:
        raise UserError(
            f"scheduler.warmup_epochs={warmup_epochs}: must be shorter than the run "
            f"({epochs:g} epochs: trainer.max_epochs, trainer.max_steps)"
        )
    if name == "plateau" and warmup_epochs:
        raise UserError(f"scheduler.warmup_epochs={warmup_epochs}: 'plateau' has no warm-up")
    needs: dict[str, dict[str, Any]] = {
        "multistep": {"milestones": milestones, "decay_rate": decay_rate},
        "step": {"decay_epochs": decay_epochs, "decay_rate": decay_rate},
        "plateau": {"decay_rate": decay_rate, "patience": patience},
        "poly": {"decay_rate": decay_rate},
    }
    for key, value in needs.get(name, {}).items():
        if value is None:
            raise UserError(f"scheduler.{key}: the schedule '{name}' needs it")
    if decay_epochs is not None and round(decay_epochs * updates_per_epoch) < 1:
        raise UserError(
            f"scheduler.decay_epochs={decay_epochs}: less than one optimizer step "
            f"({updates_per_epoch} an epoch)"
        )
    rate = 1.0 if name == "linear" or decay_rate is None else decay_rate
    if name == "plateau":
        # torch's: timm's does not save its state, so a resumed run would start it anew.
        for group in optimizer.param_groups:
            group["lr"] *= group.get("lr_scale", 1.0)
        return ReduceLROnPlateau(optimizer, mode, rate, patience or 0, min_lr=min_lr)
    made, _ = create_scheduler_v2(
        optimizer,
        sched="poly" if name == "linear" else name,
        # Whole updates, so that the end of the schedule is exact.
        num_epochs=round(epochs * updates_per_epoch),
        warmup_epochs=round(warmup_epochs * updates_per_epoch),
        warmup_lr=warmup_lr,
        min_lr=min_lr,
        # + 1: timm's multistep looks one update ahead (it was made for the ends of epochs).
        decay_milestones=[round(epoch * updates_per_epoch) + 1 for epoch in milestones or ()],
        decay_epochs=round(decay_epochs * updates_per_epoch) if decay_epochs else None,
        decay_rate=rate,
        step_on_epochs=False,
        updates_per_epoch=1,
    )
    return made

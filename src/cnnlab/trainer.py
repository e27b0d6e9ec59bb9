"""Lightning's Trainer, made for one task; `auto` settings are made definite first."""

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, Literal

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins import DoublePrecision, HalfPrecision
from lightning.pytorch.plugins.io import CheckpointIO
from lightning.pytorch.profilers import Profiler
from lightning.pytorch.strategies import DDPStrategy, Strategy
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import Tensor

from cnnlab.depthwise import in_float32
from cnnlab.errors import UserError


def as_before(trainer: dict[str, Any], earlier: Mapping[str, Any]) -> None:
    """Let `auto` and null, in place, be what they were when the run began.

    A run goes on as it was, also with other cores to share or on another machine; what its words
    say is left alone, and compared by the record.

    Args:
        trainer: the config's node.
        earlier: the same of the run that is continued.
    """
    for key in ("accelerator", "precision", "channels_last", "threads"):
        if trainer[key] in ("auto", None) and key in earlier:
            trainer[key] = earlier[key]


def resolve(trainer: dict[str, Any]) -> None:
    """Replace `auto` and null in the trainer node by what this machine gives, in place.

    precision: bf16-mixed where the device has bf16 units (1.7 times fp32 for ResNeXt-50 on a CPU
    with AVX-512 BF16), else 32-true. channels_last goes with it. threads: all cores.

    Raises:
        UserError: a device that this machine does not have.
    """
    accelerator = trainer["accelerator"]
    if accelerator == "auto":
        mps = torch.backends.mps.is_available()
        accelerator = "gpu" if torch.cuda.is_available() else "mps" if mps else "cpu"
        trainer["accelerator"] = accelerator
    if accelerator == "gpu" and not torch.cuda.is_available():
        raise UserError(
            "trainer.accelerator=gpu: torch sees no CUDA device; allowed here: cpu, auto"
        )
    if accelerator == "cpu" and not isinstance(trainer["devices"], int | str):  # a list
        raise UserError(
            f"trainer.devices={trainer['devices']}: on a CPU it is the number of processes, such "
            "as 2, or auto"
        )
    if accelerator == "mps" and not torch.backends.mps.is_available():
        raise UserError("trainer.accelerator=mps: torch sees none; allowed here: cpu, auto")
    if trainer["precision"] == "16-mixed" and accelerator == "cpu":
        raise UserError("trainer.precision=16-mixed: needs a GPU; on a CPU bf16-mixed or auto")
    has_bf16 = _has_bf16(accelerator)
    if trainer["precision"] == "auto":
        trainer["precision"] = "bf16-mixed" if has_bf16 else "32-true"
    if trainer["channels_last"] == "auto":
        trainer["channels_last"] = accelerator == "gpu" or (
            accelerator == "cpu" and trainer["precision"] == "bf16-mixed"
        )
    if trainer["threads"] is None:
        trainer["threads"] = _cores()


def _cores() -> int:
    """What OMP_NUM_THREADS grants, else the cores that this process may use."""
    granted = os.environ.get("OMP_NUM_THREADS", "")
    if granted.isdigit() and int(granted):
        return int(granted)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _has_bf16(accelerator: str) -> bool:
    if accelerator == "gpu":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if accelerator == "cpu":
        # x86 only: AVX-512 BF16 or AMX, and a oneDNN that uses them.
        return torch.ops.mkldnn._is_mkldnn_bf16_supported() and (
            torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        )
    return False


def create(
    task: LightningModule,
    callbacks: Sequence[Callback],
    loggers: Sequence[Logger],
    checkpoint_io: CheckpointIO | None,
    *,
    accelerator: Literal["auto", "cpu", "gpu", "mps"],
    devices: int | list[int] | Literal["auto"],
    nodes: int,
    strategy: Literal["auto", "ddp"],
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed", "bf16-true", "64-true"],
    channels_last: bool | Literal["auto"],
    threads: int | None,
    compile: bool,
    deterministic: bool | Literal["warn"],
    accumulate: int,
    max_epochs: int,
    max_steps: int,
    validate_every: int,
    limit_train_batches: int | float,
    limit_val_batches: int | float,
    limit_test_batches: int | float,
    overfit_batches: int | float,
    log_every: int,
    profiler: Literal["simple", "advanced"] | None,
) -> Trainer:
    """A Trainer for `task`, whose net gets its memory format and is compiled here.

    All `auto` values must have gone through `resolve`.

    Raises:
        UserError: nothing to train.
    """
    if max_steps == 0:
        raise UserError("trainer.max_steps=0: no step to train; -1 means no limit")
    if threads is not None:
        torch.set_num_threads(threads)
    if channels_last:
        task.net.to(memory_format=torch.channels_last)
    if accelerator == "cpu" and precision == "bf16-mixed":
        in_float32(task)
    if compile:
        # nn.Module types attributes as Tensor or Module.
        task.net.compile()  # type: ignore[union-attr]
    plugins: list[Any] = [checkpoint_io] if checkpoint_io is not None else []
    plugins += [_TRUE[precision]()] if precision in _TRUE else []
    _quiet()
    return Trainer(
        accelerator=accelerator,
        devices=devices,
        num_nodes=nodes,
        strategy=_strategy(strategy, accelerator),
        # Lightning takes a precision or a plugin; resolved, it is no longer 'auto'.
        precision=None if precision in _TRUE else precision,  # type: ignore[arg-type]
        deterministic=deterministic,
        accumulate_grad_batches=accumulate,
        max_epochs=max_epochs,
        max_steps=max_steps,
        check_val_every_n_epoch=validate_every,
        limit_train_batches=limit_train_batches,
        limit_val_batches=limit_val_batches,
        limit_test_batches=limit_test_batches,
        overfit_batches=overfit_batches,
        log_every_n_steps=log_every,
        profiler=profiler or _NoProfiler(),
        callbacks=list(callbacks),
        logger=list(loggers),
        plugins=plugins,
        enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks),
        # Ours do these: Progress, `cnnlab cost`, the loader's own order, `cnnlab check`.
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
    )


class _ImagesOnly:
    """Of a batch the images alone are cast, by the data module.

    In bfloat16 a corner of a box would be pixels off.
    """

    def convert_input(self, data: Any) -> Any:
        # Lightning's plugin comes after this class.
        return super().convert_input(data) if isinstance(data, Tensor) else data  # type: ignore[misc]


class _Half(_ImagesOnly, HalfPrecision):
    def __init__(self) -> None:
        super().__init__("bf16-true")


class _Double(_ImagesOnly, DoublePrecision):
    pass


_TRUE: dict[str, type[_Half] | type[_Double]] = {"bf16-true": _Half, "64-true": _Double}


@contextmanager
def misuse_in_one_line() -> Iterator[None]:
    """What Lightning says of settings it cannot work with, as a `UserError`.

    It looks at some only when it knows the data: a share of the batches that is not one batch.
    """
    try:
        yield
    except MisconfigurationException as error:
        raise UserError(f"trainer: {' '.join(str(error).split())}") from error


class _NoProfiler(Profiler):
    """Lightning enters a profiler's context about 80 times a step; its idle one costs 0.15 ms."""

    _nothing = nullcontext()

    def start(self, action_name: str) -> None:
        pass

    def stop(self, action_name: str) -> None:
        pass

    # A context that does nothing in place of the generator that Lightning types.
    def profile(self, action_name: str) -> nullcontext:  # type: ignore[override]
        return self._nothing


def _strategy(name: str, accelerator: str) -> str | Strategy:
    if name != "ddp":
        return name
    return DDPStrategy(process_group_backend="nccl" if accelerator == "gpu" else "gloo")


def _quiet() -> None:
    """Silence Lightning's advertisements and hints about things that are ours."""
    import logging

    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for text in (
        ".*does not have many workers.*",
        ".*isinstance\\(treespec, LeafSpec\\).*",  # Lightning 2.6 with torch >= 2.13
        # The values are summed over the processes already.
        ".*It is recommended to use `self.log\\('(val|test)/.*sync_dist.*",
        ".*callbacks used to create the checkpoint need to be provided.*",  # not for a test
        ".*requested to overfit but enabled .* dataloader shuffling.*",  # ours does not shuffle
        ".*number of training batches .* is smaller than the logging interval.*",
    ):
        warnings.filterwarnings("ignore", text)

"""How long a job will take, by a few real training steps, and how much disk it will fill."""

import os
import statistics
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from cnnlab.config import Composed
from cnnlab.tracking.identity import is_outside

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

STEPS = 10
"""Training steps of a probe; the first `WARM` are not counted."""
WARM = 3
EVAL_BATCHES = 3
_STATES = {"sgd": 1, "momentum": 1, "lion": 1}
"""Numbers that an optimizer keeps a parameter; others: two, as Adam."""
_FLOAT = 4
"""Bytes of a stored number."""


@dataclass(frozen=True)
class Probe:
    """What a few steps say of a whole run.

    Attributes:
        step_s: seconds from one training step to the next, reading included.
        eval_s: the same of a batch of val.
        steps: training batches of the run.
        eval_batches: batches of all its validations and of its test.
        seconds: of the run, its data read; without the seconds that a process takes to start.
    """

    step_s: float
    eval_s: float
    steps: int
    eval_batches: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.seconds:.0f} s a run: {self.steps:,} steps of {self.step_s:.3g} s, "
            f"{self.eval_batches:,} batches of evaluation of {self.eval_s:.3g} s"
        )


def threads(cfg: Any, jobs: int) -> int:
    """The CPU threads of a job when `jobs` run at once: what the config says, else its share."""
    if cfg.trainer.threads is not None:
        return int(cfg.trainer.threads)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, (cores or 1) // jobs)


def probe(composed: Composed, jobs: int) -> Probe:
    """Train a job for `STEPS` steps, in this process, on the threads that it will have.

    Callbacks that change a result take part; nothing is logged or saved.

    Raises:
        UserError: the data are not there; whatever would stop the job at its start.
    """
    from lightning.pytorch import seed_everything

    from cnnlab import trainer as trainers
    from cnnlab.tasks.build import build_parts, instantiate

    cfg = composed.cfg.copy()
    cfg.trainer.threads = threads(cfg, jobs)
    trainers.resolve(cfg.trainer)
    cfg.model.weights = None  # weights change no time
    seed_everything(cfg.seed, verbose=False)
    start = time.perf_counter()
    data, task = build_parts(cfg)
    build_s = time.perf_counter() - start
    counts = _batches(cfg.trainer, [len(data.train_dataloader()), len(data.val_dataloader())])
    tests = _limited(len(data.test_dataloader()), cfg.trainer.limit_test_batches)
    clock = _new_clock()
    others = [
        instantiate(node)
        for name, node in (cfg.callbacks or {}).items()
        if node and not is_outside(f"callbacks.{name}")
    ]
    cfg.trainer.limit_train_batches = min(STEPS, counts[0])
    cfg.trainer.limit_val_batches = min(EVAL_BATCHES, counts[1])
    cfg.trainer.validate_every, cfg.trainer.max_steps, cfg.trainer.profiler = 1, -1, None
    with trainers.misuse_in_one_line():
        trainer: Trainer = instantiate(cfg.trainer)(task, [*others, clock], [], None)
        trainer.fit(task, data)
    steps, validations = _length(composed.cfg.trainer, counts[0])
    evals = validations * counts[1] + tests
    step_s, eval_s = clock.step_s(), clock.eval_s()
    seconds = build_s + steps * step_s + evals * eval_s
    return Probe(step_s, eval_s, steps, evals, seconds)


def disk_bytes(composed: Composed, params_m: float, keep: str) -> float:
    """What a finished run leaves, by its parameters; records and pictures are not counted."""
    cfg = composed.cfg
    weights = 2  # weights.safetensors, backbone.safetensors
    optimizer = _STATES.get(str(cfg.optimizer.get("name")), 2)
    averaged = 1 if (cfg.callbacks or {}).get("ema") else 0
    checkpoints = 2 * (1 + optimizer + averaged)  # last.ckpt, best.ckpt
    copies = {"all": weights + checkpoints, "weights": weights, "none": 0}[keep]
    return copies * params_m * 1e6 * _FLOAT


def _limited(count: int, limit: int | float) -> int:
    """As Lightning reads its limits: a whole number is a count, one with a point a share."""
    return min(count, limit) if isinstance(limit, int) else int(count * limit)


def _batches(trainer: Any, counts: list[int]) -> list[int]:
    limits = (trainer.limit_train_batches, trainer.limit_val_batches)
    return [_limited(count, limit) for count, limit in zip(counts, limits, strict=True)]


def _length(trainer: Any, per_epoch: int) -> tuple[int, int]:
    """Training batches of the whole run, and how often it validates."""
    steps = trainer.max_epochs * per_epoch
    if trainer.max_steps > 0:
        steps = min(steps, trainer.max_steps * trainer.accumulate)
    return steps, steps // max(1, per_epoch) // trainer.validate_every


def _new_clock() -> Any:
    """A callback that notes when batches end, and ends the fit after its first epoch."""
    import torch
    from lightning.pytorch import Callback

    class Clock(Callback):
        def __init__(self) -> None:
            self.train: list[float] = []
            self.eval: list[float] = []

        def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
            self.train.append(time.perf_counter())

        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            self.train.append(self._now(trainer))

        def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
            self.eval.append(self._now(trainer))

        def on_validation_batch_end(self, trainer: Any, *_: Any) -> None:
            self.eval.append(self._now(trainer))

        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            trainer.should_stop = True

        def step_s(self) -> float:
            return _median_gap(self.train, WARM)

        def eval_s(self) -> float:
            return _median_gap(self.eval, 1)

        @staticmethod
        def _now(trainer: Any) -> float:
            if trainer.strategy.root_device.type == "cuda":
                torch.cuda.synchronize()
            return time.perf_counter()

    return Clock()


def _median_gap(times: list[float], warm: int) -> float:
    """The median of what lies between; the first `warm` gaps count only where there are no more."""
    gaps = [after - before for before, after in pairwise(times)]
    return statistics.median(gaps[warm:] or gaps) if gaps else 0.0

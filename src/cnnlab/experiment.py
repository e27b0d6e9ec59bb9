"""One run: its parts put together, driven, and told to the record."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.utilities.exceptions import SIGTERMException
from omegaconf import DictConfig, OmegaConf

from cnnlab import default_net
from cnnlab import trainer as trainers
from cnnlab.ablation.local_pool import AT_ONCE
from cnnlab.complexity.count import count
from cnnlab.complexity.table import cost_keys, keys_line, summary_line
from cnnlab.complexity.timing import latency_ms, peak_memory_mb
from cnnlab.config import Composed
from cnnlab.data.module import DataModule
from cnnlab.errors import UserError
from cnnlab.figure import figure
from cnnlab.tasks.base import Task
from cnnlab.tasks.build import build_parts, instantiate
from cnnlab.tasks.error_lines import error_lines
from cnnlab.tasks.per_class import per_class_lines
from cnnlab.tracking.checkpoint_io import AtomicCheckpointIO
from cnnlab.tracking.folder import check_resumable, half_done, job_folder
from cnnlab.tracking.record import RunRecord

AT_CHANCE = 1.5
"""A top-1 below so many times the most frequent class's share is worth a line at the end."""


class Experiment:
    """A composed and checked config on its way to a finished run folder.

    Opening it makes `auto` settings definite, seeds everything, reads the data, builds and counts
    the net and then opens the record, so that a wrong path or size leaves no run behind. Use it as
    a context: the record says how the run ended.

    Raises:
        UserError: data, weights or device are not there; the net does not take images of that
            size; the run to resume cannot be continued.
    """

    trainer: Trainer

    def __init__(self, composed: Composed) -> None:
        self.cfg: DictConfig = composed.cfg.copy()
        given = job_folder()
        if given and not self.cfg.resume and half_done(given):
            self.cfg.resume = str(given)  # a multirun's job goes on where it was
        if self.cfg.resume:
            earlier = check_resumable(Path(self.cfg.resume))
            trainers.as_before(self.cfg.trainer, earlier.config["trainer"])
        trainers.resolve(self.cfg.trainer)
        seed_everything(self.cfg.seed, verbose=False)
        plain: Any = OmegaConf.to_container(self.cfg, resolve=True)
        if self.cfg.resume:
            self.cfg.model.weights = None  # the checkpoint holds all; their source may be gone
        self.data: DataModule
        self.task: Task
        self.data, self.task = build_parts(self.cfg)
        self.size = (self.data.channels, *self.data.image_size)
        self.cost = count(self.task.net, self.size)
        self.remark = default_net.remark(composed, self.task, self.data.image_size)
        self.record = RunRecord.open(plain, composed.choices, composed.overrides)

    def __enter__(self) -> "Experiment":
        self.record.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Lightning makes an exit with code 1 of Ctrl-C, and says nothing.
        if isinstance(error, SystemExit) and isinstance(error.__context__, KeyboardInterrupt):
            kind, error = KeyboardInterrupt, KeyboardInterrupt("Ctrl-C")
        # SIGTERM to the whole group (timeout, a scheduler) kills the workers first; alone it is an
        # exit with code 0 and no word.
        of_workers = isinstance(error, RuntimeError) and "signal: Terminated" in str(error)
        if of_workers or isinstance(error, SIGTERMException):
            kind, error = SystemExit, SystemExit("SIGTERM")
        self.record.__exit__(kind, error, traceback)
        if isinstance(error, KeyboardInterrupt) or str(error) == "SIGTERM":
            self._say(self._stopped())
            # What a shell expects of a program that a signal ended.
            raise SystemExit(130 if isinstance(error, KeyboardInterrupt) else 143) from None

    def _stopped(self) -> str:
        folder = self.record.folder
        if folder is None or not (folder / "checkpoints" / "last.ckpt").is_file():
            return "stopped before the first epoch ended; there is nothing to go on from"
        return f"stopped; go on from the last whole epoch: python train.py resume={folder}"

    def build(self) -> None:
        """The trainer, with callbacks, record and mirrors attached."""
        mirrors = [_logger(name, node) for name, node in (self.cfg.logger or {}).items() if node]
        callbacks = [instantiate(node) for node in (self.cfg.callbacks or {}).values() if node]
        with trainers.misuse_in_one_line():
            self.trainer = instantiate(self.cfg.trainer)(
                self.task, callbacks, [self.record, *mirrors], AtomicCheckpointIO()
            )
        self.record.attach(mirrors)

    def measure_cost(self) -> None:
        """Parameters, MACs, activations and latency at the size training sees, before training.

        Beside other jobs of a multirun no latency: it would say how busy the machine is.
        """
        cost, latency = self.cost, None
        if self.trainer.is_global_zero:
            if int(os.environ.get(AT_ONCE, "1")) == 1:
                latency = latency_ms(
                    self.task.net,
                    self.size,
                    self.trainer.strategy.root_device,
                    self.trainer.precision_plugin.forward_context,
                )
            self._say(f"net      {self.record.name}: {summary_line(cost, latency)}")
            for line in self.data.remarks():
                self._say(f"data     {line}")
            if self.remark:
                self._say(f"model    {self.remark}")
            if report := getattr(self.task.net.backbone, "load_report", None):
                self._say(f"weights  {report}")
                self.record.started_from(str(report))
        self.record.describe(self.data.summary(), cost_keys(cost, latency))

    def fit(self) -> None:
        """Train, from the last checkpoint where the run is a resumed one."""
        last = self.record.last_checkpoint
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        self._timed(
            "time/fit_s",
            lambda: self.trainer.fit(self.task, self.data, ckpt_path=last, weights_only=True),
        )

    def test(self) -> None:
        """Test the checkpoint that the config wants, and keep its weights."""
        # Every process must load the same; the first one alone knows what it wrote.
        path = self.trainer.strategy.broadcast(self.record.checkpoint(self.cfg.tested))
        self._timed(
            "time/test_s",
            lambda: self.trainer.test(
                self.task, self.data, ckpt_path=path, weights_only=True, verbose=False
            ),
        )
        device = self.trainer.strategy.root_device
        # Once more: by now it is known which files could not be read.
        self.record.describe(self.data.summary(), {"cost/peak_memory_mb": peak_memory_mb(device)})
        self.record.keep(self.task.net, self.task.results, Path(path).stem if path else "last")

    def metrics(self) -> dict[str, float]:
        """All that was logged, the last value of each key."""
        fields = self.record.fields
        if not fields:  # not the first process
            return {k: float(v) for k, v in self.trainer.callback_metrics.items()}
        return {**fields["metrics"], **fields["cost"]}

    def closing_block(self) -> str:
        """The end in a few lines: result, cost, where the run lies, what to type next."""
        metrics, fields = self.metrics(), self.record.fields
        shown = [f"{k} {figure(v)}" for k, v in metrics.items() if k.startswith("test/")]
        best = fields["best"] if fields["tested"] == "best" else None
        which = f"checkpoint best by {best['key']} (epoch {best['epoch'] + 1})" if best else None
        folder = self.record.folder
        seconds = metrics["time/fit_s"] + metrics["time/test_s"]
        skipped = [f"{n} of {k}" for k, n in fields["data"]["skipped"].items() if n]
        return "\n".join(
            [
                "",
                f"result   {'  '.join(shown)}",
                f"         of the {which or 'last state'}",
                *per_class_lines(self.task),
                *error_lines(self.task),
                *self._at_chance(metrics),
                *(
                    [f"skipped  unreadable images: {', '.join(skipped)}; named in run.json"]
                    if skipped
                    else []
                ),
                f"cost     {keys_line(fields['cost'])}",
                f"run      {folder} ({seconds:.0f} s: fit and test)",
                f"next     python -m cnnlab test {folder}",
                "         python train.py --help",
            ]
        )

    def _at_chance(self, metrics: dict[str, float]) -> list[str]:
        """A line where the net is hardly better than the most frequent class would be."""
        if "test/top1" not in metrics:
            return []
        counts = self.data.class_counts
        chance = max(counts) / sum(counts)
        if metrics["test/top1"] > AT_CHANCE * chance:
            return []
        return [
            f"         hardly better than the most frequent class ({chance:.4f}): train longer, or "
            "gentler (recipe=gentle, a smaller optimizer.lr)"
        ]

    def _timed(self, key: str, act: Callable[[], Any]) -> None:
        start = time.monotonic()
        with trainers.misuse_in_one_line():
            act()
        self._log({key: time.monotonic() - start})

    def _log(self, values: dict[str, float | None]) -> None:
        known = {key: value for key, value in values.items() if value is not None}
        for logger in self.trainer.loggers:
            logger.log_metrics(known, step=self.trainer.global_step)

    def _say(self, line: str) -> None:
        print(line, flush=True)


def _logger(name: str, node: DictConfig) -> Any:
    try:
        return instantiate(node)
    except Exception as error:
        missing = error.__cause__ or error
        if not isinstance(missing, ImportError):
            raise
        raise UserError(f"logger={name}: not installed; pip install {name}") from error

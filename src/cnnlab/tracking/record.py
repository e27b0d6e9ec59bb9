"""The run record: what a run was, what it measured and how it ended, in files of its own folder."""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lightning.pytorch import Trainer
from lightning.pytorch.loggers.logger import Logger
from torch import nn

from cnnlab.atomic import write_json
from cnnlab.tracking import folder as folders
from cnnlab.tracking.fields import group, now, starting_fields
from cnnlab.tracking.machine_paths import MachinePaths
from cnnlab.tracking.metrics_file import MetricsFile
from cnnlab.tracking.mirror import Mirror
from cnnlab.tracking.reading import SCHEMA
from cnnlab.tracking.redact import Redactor
from cnnlab.tracking.weights import save_weights


class RunRecord(Logger):
    """A run folder that is being written; also a Lightning logger, so Lightning feeds it.

    Use as a context: leaving it sets the status, whatever happened. In processes other than the
    first it writes nothing.

    Attributes:
        folder: where the run lies; None in other processes until `share`.
        group: the multirun that it is a job of, else `<data>-<model>`.
        resumed: whether this continues an earlier session.
    """

    def __init__(self, folder: Path | None, fields: dict[str, Any], resumed: bool) -> None:
        super().__init__()
        self.folder = folder
        self.resumed = resumed
        self._fields = fields
        self._writes = False
        self._loggers: list[Logger] = []
        self._step = 0
        self._epoch = 0

    @classmethod
    def open(
        cls, config: dict[str, Any], choices: Mapping[str, str | None], overrides: Sequence[str]
    ) -> Self:
        """Make the folder of a new run, or take up `config["resume"]`.

        A multirun's job begins in the folder that it was given.

        Args:
            config: resolved, as plain containers; `auto` settings of the trainer made definite.
            choices: the file chosen of each config group.
            overrides: the words that were typed.

        Raises:
            UserError: the run to resume cannot be continued, or the disk is full.
        """
        if folders.global_rank() != 0:
            known = config["resume"] or os.environ.get(folders.SHARED)
            return cls(Path(known) if known else None, {}, resumed=bool(config["resume"]))
        redactor = Redactor(config, [*overrides, *sys.argv[1:]], os.environ)
        earlier = None
        if config["resume"]:
            folder = Path(config["resume"])
            folders.check_resumable(folder)
            lock = folders.lock(folder)
            try:
                earlier = folders.check_resumable(folder)  # now that nobody else writes it
                folders.check_same(folder, earlier, redactor.config(config))
            except BaseException:
                os.close(lock)
                raise
        elif given := folders.job_folder():
            folder = given
            lock = folders.take(folder)
        else:
            parent = Path(config["runs"]) / group(config, choices)
            folder = folders.create(parent, config["seed"])
            lock = folders.lock(folder)
        fields = starting_fields(config, choices, overrides, redactor, folder, earlier)
        record = cls(folder, fields, resumed=earlier is not None)
        job = fields["job"]
        record._start(redactor, job["name"] if job else group(config, choices), lock)
        return record

    def _start(self, redactor: Redactor, group_name: str, lock: int) -> None:
        assert self.folder is not None
        self._writes = True
        self._redactor = redactor
        self.group = group_name
        self._lock = lock
        os.environ[folders.SHARED] = str(self.folder.resolve())
        self._metrics = MetricsFile(self.folder / "metrics.csv")
        self._clock = time.monotonic() - self._metrics.last_time_s
        self._write()

    # What the run tells ------------------------------------------------------------------------

    def attach(self, loggers: Sequence[Logger]) -> None:
        """Let `loggers` repeat what is logged here; to be called once, before training."""
        if not self._writes:
            return
        for logger in loggers:
            self._loggers.append(logger)
            if isinstance(logger, Mirror):
                logger.bind(self)
            else:
                logger.log_hyperparams(self.config)

    def started_from(self, report: str) -> None:
        """Say what became of the weights the net was given: loaded, re-initialised, unused."""
        if self._writes:
            self._fields["weights"] = self._redactor.text(report)
            self._write()

    def describe(self, data: Mapping[str, Any], cost: Mapping[str, float | None]) -> None:
        """Store what the data set says of itself, and the net's cost under `cost/...` keys.

        The mirrors get the cost too; None is what could not be measured.
        """
        if not self._writes:
            return
        self._fields["data"] = self._redactor.facts(data)
        self._fields["cost"] |= cost
        measured = {key: value for key, value in cost.items() if value is not None}
        for logger in (self, *self._loggers):
            logger.log_metrics(measured, step=self._step)
        self._write()

    def trains(self, steps: int) -> None:
        """Training begins, or goes on; it takes so many optimizer steps in all."""
        if self._writes:
            self._fields["time"]["steps"] = steps
            self._write()

    def best(self, key: str, mode: str, value: float, epoch: int, step: int) -> None:
        """A checkpoint better than those before was written."""
        if self._writes:
            self._fields["best"] = {
                "key": key,
                "mode": mode,
                "value": value,
                "epoch": epoch,
                "step": step,
            }
            self._write()

    def keep(self, net: nn.Module, results: Mapping[str, Any], tested: str) -> None:
        """Store the tested net, its backbone, and results that are no scalars.

        Args:
            net: with the weights that were tested.
            results: plain values by key, such as `test/confusion`.
            tested: `best` or `last`, the checkpoint that the weights came from.
        """
        if not self._writes:
            return
        assert self.folder is not None
        save_weights(net, self.folder, {"run": self.name, "identity": self._fields["identity"]})
        # A file of its own: a thousand classes have a million pairs.
        write_json(self.folder / "results.json", self._redactor.facts(results))
        self._fields["tested"] = tested
        self._write()

    def went_back_to(self, step: int) -> None:
        """Training goes on from a checkpoint at `step`: rows of later steps are superseded."""
        if self._writes:
            self._metrics.drop_after(step)
            self._clock = time.monotonic() - self._metrics.last_time_s

    def share(self, trainer: Trainer) -> Path:
        """The folder, in every process; collective, once the processes know one another."""
        if self._writes:
            self._fields["environment"]["world_size"] = trainer.world_size
        self.folder = Path(trainer.strategy.broadcast(str(self.folder)))
        return self.folder

    @classmethod
    def of(cls, trainer: Trainer) -> "RunRecord":
        """The record among a trainer's loggers."""
        return next(logger for logger in trainer.loggers if isinstance(logger, cls))

    # What a reader may ask ---------------------------------------------------------------------

    @property
    def config(self) -> dict[str, Any]:
        """The config as it is written: without secrets and absolute paths."""
        return MachinePaths().take(self._fields["config"])

    @property
    def fields(self) -> Mapping[str, Any]:
        """What run.json holds so far; docs/record.md names every field."""
        return self._fields

    @property
    def metrics(self) -> dict[str, float]:
        """The newest value of every metric."""
        return dict(self._fields.get("metrics", {}))

    @property
    def last_checkpoint(self) -> str | None:
        """Where training goes on from; None for a new run."""
        if not self.resumed or self.folder is None:
            return None
        return str(self.folder / "checkpoints" / "last.ckpt")

    def checkpoint(self, wanted: str) -> str | None:
        """The checkpoint to test, `best` on val or `last`; the last where val chose none.

        None where there is neither.
        """
        if self.folder is None:
            return None
        paths = [self.folder / "checkpoints" / f"{name}.ckpt" for name in (wanted, "last")]
        return next((str(path) for path in paths if path.is_file()), None)

    @property
    def wandb_id(self) -> str | None:
        """The run's id at Weights & Biases; a resumed run keeps it."""
        return self._fields["wandb_id"]

    @wandb_id.setter
    def wandb_id(self, value: str) -> None:
        self._fields["wandb_id"] = value
        self._write()

    # Lightning's logger ------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Readable: `<model>-<data>-<NNN>-s<seed>`, and the config's `name`."""
        return self._fields.get("name", "")

    @property
    def version(self) -> str:
        return self.folder.name if self.folder else ""

    @property
    def save_dir(self) -> str | None:
        return str(self.folder) if self.folder else None

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append rows at `step` (that of the last call where None); `epoch` is a column."""
        if not self._writes:
            return
        values = {key: float(value) for key, value in metrics.items()}
        self._epoch = int(values.pop("epoch", self._epoch))
        self._step = self._step if step is None else step
        self._metrics.append(self._step, self._epoch, time.monotonic() - self._clock, values)
        for key, value in values.items():
            self._fields["cost" if key.startswith("cost/") else "metrics"][key] = value

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: the config is written on opening."""

    # The end -----------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._writes:
            return
        status = "finished"
        if error is not None:
            # SIGTERM arrives as SystemExit; Lightning turns Ctrl-C into one as well.
            stopped = isinstance(error, KeyboardInterrupt | SystemExit)
            status = "stopped" if stopped else "failed"
            line = str(error).strip().partition("\n")[0]
            self._fields["reason"] = self._redactor.text(f"{type(error).__name__}: {line}")
        self._fields["status"] = status
        self._fields["time"]["ended"] = now()
        try:
            self._write()
        except Exception:
            if error is None:
                raise
        finally:
            for logger in self._loggers:
                if isinstance(logger, Mirror):
                    logger.close(status)
            self._metrics.close()
            os.close(self._lock)
            os.environ.pop(folders.SHARED, None)
            self._writes = False

    def _write(self) -> None:
        assert self.folder is not None
        self._fields["time"]["total_s"] = round(time.monotonic() - self._clock, 3)
        paths = MachinePaths()
        own = self._fields["machine"]
        fields = {k: paths.take(v) for k, v in self._fields.items() if k != "machine"}
        fields = {"schema": SCHEMA} | fields | {"machine": own | {"paths": paths.table}}
        write_json(self.folder / "run.json", fields, indent=2)

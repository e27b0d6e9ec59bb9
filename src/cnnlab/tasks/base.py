"""The only step of all tasks: net, losses, metrics, and where randomness comes from."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torchmetrics import Metric, SumMetric

from cnnlab.data.batch import Batch
from cnnlab.data.module import DataModule
from cnnlab.errors import UserError
from cnnlab.metrics.mean import WeightedMean
from cnnlab.seeding import reseed

Stage = Literal["val", "test"]


class Task(LightningModule):
    """A net that learns: `net(images) -> outputs`, then `losses` and `predict` of the outputs.

    A leaf (one level deep) gives these two and `new_metric`. Everything that is per run and not
    per task (record, checkpoints, progress, pictures) is a callback.

    Losses are means over a batch; evaluation makes of them the mean over the split, whatever the
    batch size and the number of processes (where a loss draws a sample, as that of detectors of two
    stages, nearly).

    Attributes:
        evaluated: images that the last evaluation counted, over all processes.
        results: what the last evaluation found beside its scalars, as plain values by key
            (`test/per_class`, `test/confusion`); absent classes are NaN.
    """

    tasks: ClassVar[tuple[str, ...]] = ()
    """What it does, in the words of data, heads and losses; read statically, too."""
    logs: ClassVar[tuple[str, ...]] = ()
    """The keys that an evaluation on val logs; read statically by `cnnlab.config`."""
    per_class: ClassVar[str | None] = None
    """The metric's result `(K,)` that is worth a look after a test, such as `iou_per_class`."""
    multi_label: ClassVar[bool] = False
    """Whether an image may have several classes."""
    least_weight: ClassVar[float] = 0.0
    """What its losses divide by at least."""

    def __init__(
        self,
        net: nn.Module,
        loss: nn.Module,
        optimizer: Callable[[nn.Module], Optimizer],
        scheduler: Callable[..., Any],
        classes: list[str],
        seed: int,
        *,
        monitor: str,
        mode: Literal["min", "max"],
    ) -> None:
        super().__init__()
        self.net = net
        self.loss = loss
        self.make_optimizer = optimizer
        self.make_scheduler = scheduler
        self.classes = classes
        self.seed = seed
        self.monitor = monitor
        self.mode = mode
        self.results: dict[str, Any] = {}
        self.validated = False
        self.metrics = nn.ModuleDict({stage: self.new_metric() for stage in ("val", "test")})
        self.loss_means: dict[str, WeightedMean] = {}
        self.seen = SumMetric(nan_strategy="disable")
        self.evaluated = 0

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "_current_fx_name":
            # Lightning sets it 45 times a step; torch looks for a parameter each time (0.1 ms).
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    # What a leaf gives -------------------------------------------------------------------------

    def losses(self, outputs: Any, batch: Batch) -> dict[str, Tensor]:
        """Scalar losses by name; their sum is minimised."""
        raise NotImplementedError(type(self).__name__)

    def predict(self, outputs: Any, batch: Batch) -> Any:
        """What the metric eats, in original pixels."""
        raise NotImplementedError(type(self).__name__)

    def truth(self, batch: Batch) -> Any:
        """What the metric compares predictions with."""
        return batch.targets

    def infer(self, batch: Batch, stage: Stage) -> Any:
        """The outputs in evaluation, which `losses` and `predict` are of."""
        return self.net(batch.images)

    def batch_weight(self, outputs: Any, batch: Batch) -> Tensor | int:
        """What the mean over `batch` divides by; evaluation weights the batches with it."""
        return len(batch.ids)

    def new_metric(self) -> Metric:
        """A metric with `update(predictions, truth)` and `compute() -> dict`."""
        raise NotImplementedError(type(self).__name__)

    def suits(self, data: DataModule) -> None:
        """Refuse data that the task, or its net, cannot take.

        Raises:
            UserError: saying what would.
        """
        if data.multi_label != self.multi_label:
            several = "several labels" if data.multi_label else "one label"
            other = "multilabel" if data.multi_label else "classification"
            raise UserError(f"task: this data set has {several} an image; use task={other}")

    # The step ----------------------------------------------------------------------------------

    def forward(self, images: Tensor) -> Any:
        return self.net(images)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        reseed(self.seed, self.global_rank, self.trainer.fit_loop.total_batch_idx)

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        losses = self.losses(self.net(batch.images), batch)
        return {"loss": _total(losses)}

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        return self._evaluate(batch, "val")

    def test_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        return self._evaluate(batch, "test")

    def _evaluate(self, batch: Batch, stage: Stage) -> dict[str, Any]:
        outputs = self.infer(batch, stage)
        losses = self.losses(outputs, batch)
        terms = {f"loss_{k}": v for k, v in losses.items()} if len(losses) > 1 else {}
        losses = {"loss": _total(losses)} | terms
        weight = self.batch_weight(outputs, batch)
        for name, value in losses.items():
            if name not in self.loss_means:
                self.loss_means[name] = WeightedMean(self.least_weight).to(value.device)
            self.loss_means[name].update(value, weight)
        self.seen.update(len(batch.ids))
        predictions = self.predict(outputs, batch)
        self._metric(stage).update(predictions, self.truth(batch))
        return {"predictions": predictions}

    def on_validation_epoch_end(self) -> None:
        self._finish("val")
        self.validated = True

    def on_test_epoch_end(self) -> None:
        self._finish("test")

    def _finish(self, stage: Stage) -> dict[str, float]:
        """Log the figures of an evaluation; they are the same in each process."""
        values: dict[str, Any] = {k: m.compute() for k, m in self.loss_means.items()}
        self.loss_means.clear()
        self.evaluated = int(self.seen.compute())
        self.seen.reset()
        metric = self._metric(stage)
        values |= metric.compute()
        metric.reset()
        tensors = {f"{stage}/{k}": torch.as_tensor(v).detach().cpu() for k, v in values.items()}
        self.results = {k: v.tolist() for k, v in tensors.items() if v.ndim}
        scalars = {k: v.item() for k, v in tensors.items() if not v.ndim}
        # For callbacks. They are sums over the processes already, the same in each.
        self.log_dict(scalars, logger=False, rank_zero_only=True)
        for logger in self.loggers:
            # Not through Lightning: validation would stand one step before the loss it belongs to.
            logger.log_metrics(scalars | {"epoch": self.current_epoch}, step=self.global_step)
        return scalars

    def _metric(self, stage: Stage) -> Metric:
        metric = self.metrics[stage]
        assert isinstance(metric, Metric)
        return metric

    # Optimisation ------------------------------------------------------------------------------

    def configure_optimizers(self) -> Any:
        optimizer = self.make_optimizer(self.net)
        total = int(self.trainer.estimated_stepping_batches)  # also sets up the loaders
        batches = self.trainer.num_training_batches
        if not 0 < batches < float("inf"):
            raise UserError("trainer.limit_train_batches: leaves no training batch")
        per_epoch = -(-int(batches) // self.trainer.accumulate_grad_batches)
        # max_steps may end the run within an epoch; the schedule ends with it.
        epochs = total / per_epoch
        scheduler = self.make_scheduler(optimizer, epochs, per_epoch, self.mode)
        config = {"scheduler": scheduler, "interval": "step", "frequency": 1}
        if isinstance(scheduler, ReduceLROnPlateau):
            config |= {"interval": "epoch", "monitor": self.monitor, "strict": False}
        return {"optimizer": optimizer, "lr_scheduler": config}

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        if not isinstance(scheduler, ReduceLROnPlateau):
            # timm's schedules are functions of the number of updates done.
            scheduler.step_update(self.global_step)

    def on_train_epoch_end(self) -> None:
        # Lightning would step a plateau after the checkpoint, which then lacks that step.
        scheduler, validated = self.lr_schedulers(), self.validated
        self.validated = False
        if isinstance(scheduler, ReduceLROnPlateau) and validated:
            scheduler.step(self.trainer.callback_metrics[self.monitor])

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        # Metrics are empty between epochs; a checkpoint holds the net and plain containers only.
        checkpoint["cnnlab"] = {"classes": list(self.classes), "task": type(self).__name__}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of another net, task or list of classes.

        Raises:
            UserError: naming the first difference.
        """
        about = checkpoint.get("cnnlab")
        if about is None:
            raise UserError("the checkpoint was not written by cnnlab; use model.weights=FILE")
        if about["task"] != type(self).__name__:
            raise UserError(f"the checkpoint is of a {about['task']}, not a {type(self).__name__}")
        if about["classes"] != self.classes:
            raise UserError(
                f"the checkpoint has {_classes(about['classes'])} and the data "
                f"{_classes(self.classes)}; to start from its backbone: model.weights=RUN"
            )
        mine, theirs = self.state_dict(), checkpoint["state_dict"]
        for key in [*mine, *theirs]:
            have, want = (tuple(d[key].shape) if key in d else None for d in (theirs, mine))
            if have != want:
                raise UserError(
                    f"the checkpoint is of another net: {key} is {have or 'missing'} in it and "
                    f"{want or 'missing'} in the net of the config"
                )


def _classes(names: list[str]) -> str:
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return f"{len(names)} classes ({shown})"


def _total(losses: Mapping[str, Tensor]) -> Tensor:
    values = list(losses.values())
    return values[0] if len(values) == 1 else torch.stack(values).sum()

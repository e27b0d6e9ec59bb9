"""The trained net is tested with its BatchNorm folded: the same function, in less time (deck 2)."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn

from cnnlab.complexity.count import count
from cnnlab.complexity.table import cost_keys, summary_line
from cnnlab.complexity.timing import latency_ms
from cnnlab.data.module import DataModule
from cnnlab.errors import UserError
from cnnlab.surgery.fold_bn import MAX_DIFFERENCE, difference, fold
from cnnlab.tracking.record import RunRecord


class FoldBN(Callback):
    """Fold before the test, once the checkpoint is loaded; afterwards put the trained net back.

    So `test/...` and `cost/...` are the folded net's, and the weights that a run keeps fit the net
    that its config names. Latency is measured where the run measured it at its start.

    Args:
        fold: False: only measure again, so that two runs differ in the folding and not in when
            they were timed.

    Raises:
        UserError: before the test, where the outputs of the two nets differ by more than rounding.
    """

    def __init__(self, *, fold: bool) -> None:
        self.fold = fold

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Lightning sets it where a test begins, but does not declare it.
        data: DataModule = trainer.datamodule  # type: ignore[attr-defined]
        net: Any = pl_module.net
        size = (data.channels, *data.image_size)
        self._trained = net
        if self.fold:
            pl_module.net, said = _folded(net, size)
            if trainer.is_global_zero:
                print(f"folded   {said}", flush=True)
        if trainer.is_global_zero:
            self._measure(trainer, pl_module.net, size)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        pl_module.net = self._trained

    def _measure(self, trainer: Trainer, net: Any, size: tuple[int, int, int]) -> None:
        record, latency = RunRecord.of(trainer), None
        if record.fields["cost"].get("cost/latency_ms") is not None:
            device = trainer.strategy.root_device
            latency = latency_ms(net, size, device, trainer.precision_plugin.forward_context)
        cost = count(net, size)
        found = {k: v for k, v in cost_keys(cost, latency).items() if v is not None}
        record.describe(record.fields["data"], found)
        print(f"tested   {summary_line(cost, latency)}", flush=True)


def _folded(net: nn.Module, size: tuple[int, int, int]) -> tuple[nn.Module, str]:
    """The folded net, and in a line what became of it."""
    folded, report = fold(net, size)
    apart = difference(net, folded, size)
    if not apart <= MAX_DIFFERENCE:  # NaN is no equality
        raise UserError(
            f"callbacks=fold_bn: outputs differ by {apart:.1e} of the largest, more than "
            f"{MAX_DIFFERENCE:g}: folding changed the net, so it is not tested"
        )
    return folded, f"{report}; outputs differ by {apart:.1e} of the largest"

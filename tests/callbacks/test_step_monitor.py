from types import SimpleNamespace

import pytest
import torch

from cnnlab.callbacks.step_monitor import NonFiniteLossError, StepMonitor
from cnnlab.data.batch import Batch


class Log:
    def __init__(self) -> None:
        self.rows: list[tuple[int, dict]] = []

    def log_metrics(self, metrics: dict, step: int) -> None:
        self.rows.append((step, metrics))


def trainer(every: int) -> SimpleNamespace:
    groups = [{"lr": 0.25}]
    return SimpleNamespace(
        global_step=0,
        current_epoch=0,
        world_size=1,
        accumulate_grad_batches=1,
        log_every_n_steps=every,
        optimizers=[SimpleNamespace(param_groups=groups)],
        loggers=[Log()],
    )


def feed(monitor: StepMonitor, at: SimpleNamespace, losses: list[float], device="cpu") -> None:
    monitor.on_train_epoch_start(at, None)
    for number, loss in enumerate(losses):
        at.global_step += 1
        ids = torch.arange(4) + 4 * number
        batch = Batch(torch.empty(4), torch.empty(4), ids, torch.empty(4))
        monitor.on_train_batch_end(
            at, None, {"loss": torch.tensor(loss, device=device)}, batch, number
        )


def test_logs_the_mean_of_each_window_and_the_rest_at_the_end():
    at, monitor = trainer(every=2), StepMonitor()
    feed(monitor, at, [1.0, 2.0, 3.0, 4.0, 7.0])
    monitor.on_train_epoch_end(at, None)
    rows = [(step, row["train/loss"], row["train/lr"]) for step, row in at.loggers[0].rows]
    assert rows == [(2, 1.5, 0.25), (4, 3.5, 0.25), (5, 7.0, 0.25)]
    assert all(row["time/images_per_s"] > 0 for _, row in at.loggers[0].rows)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_non_finite_loss_stops_naming_step_ids_and_learning_rate(bad):
    at, monitor = trainer(every=50), StepMonitor()
    with pytest.raises(NonFiniteLossError, match=r"step 2 .*learning rate 0.25.*4, 5, 6, 7"):
        feed(monitor, at, [1.0, bad, 1.0])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_every_loss_is_checked_by_the_end_of_the_epoch():
    at, monitor = trainer(every=2), StepMonitor()
    feed(monitor, at, [float("nan")], device="cuda")
    with pytest.raises(NonFiniteLossError, match="step 1 "):
        monitor.on_train_epoch_end(at, None)

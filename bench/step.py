"""A step beside a bare PyTorch loop: metrics, progress bar, record and W&B (offline) on."""

import io
import statistics
import tempfile
import time
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import torch
from lightning.pytorch import Callback

from cnnlab.config import compose
from cnnlab.experiment import Experiment

ON_GPU = True
EPOCHS = 4
ROUNDS = 3


class _Terminal(io.StringIO):
    """A place for the bar that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class _Clock(Callback):
    """Milliseconds a step, over each epoch after the first; its ends and validation left out."""

    def __init__(self) -> None:
        self.epochs_ms: list[float] = []

    def on_train_batch_end(self, trainer: Any, *rest: Any) -> None:
        batch = rest[-1]
        if batch == 0:
            _wait()
            self.first = time.perf_counter()
        elif batch + 1 == trainer.num_training_batches and trainer.current_epoch:
            _wait()
            self.epochs_ms.append((time.perf_counter() - self.first) / batch * 1e3)


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _experiment(runs: str, device: torch.device) -> Experiment:
    return Experiment(
        compose(
            [
                *("model=lenet5_modern", "data=digits", "data.batch_size=8"),
                *(f"runs={runs}", "logger.wandb.mode=offline", "callbacks.pictures=null"),
                *(f"trainer.max_epochs={EPOCHS}", "trainer.threads=1", "trainer.precision=32-true"),
                f"trainer.accelerator={'gpu' if device.type == 'cuda' else 'cpu'}",
            ]
        )
    )


def _ours(runs: str, device: torch.device) -> float:
    clock = _Clock()
    with _experiment(runs, device) as experiment:
        experiment.build()
        experiment.trainer.callbacks.append(clock)  # type: ignore[attr-defined]  # set by Lightning
        experiment.fit()
    return statistics.median(clock.epochs_ms)


def _bare(runs: str, device: torch.device) -> float:
    with _experiment(runs, device) as experiment:
        experiment.build()
        data, task = experiment.data, experiment.task
    net = task.net.to(device).train()
    optimizer = task.make_optimizer(net)
    loader, epochs_ms, step = data.train_dataloader(), [], 0
    for epoch in range(EPOCHS):
        loader.sampler.set_epoch(epoch)
        for number, host in enumerate(loader):
            batch = data.prepare(type(host)(*(x.to(device) for x in host)), True, step)
            loss = task.loss(net(batch.images), batch.targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            if number == 0:
                _wait()
                first = time.perf_counter()
        _wait()
        epochs_ms.append((time.perf_counter() - first) / number * 1e3)
    return statistics.median(epochs_ms[1:])


def measure(device: torch.device) -> list[dict[str, Any]]:
    ours, bare = [], []
    with tempfile.TemporaryDirectory() as runs:
        for _ in range(ROUNDS):
            with redirect_stdout(io.StringIO()), redirect_stderr(_Terminal()):
                bare.append(_bare(runs, device))
                ours.append(_ours(runs, device))
    extra = statistics.median(o - b for o, b in zip(ours, bare, strict=True))
    return [
        {
            "name": "one step of a tiny net, everything on",
            "ours": statistics.median(ours),
            "reference": statistics.median(bare),
            "unit": "ms a step, less is better; reference: bare loop",
            "ratio": statistics.median(ours) / statistics.median(bare),
            "target": "at most 0.5 ms more",
            "note": f"{extra:.3f} ms more",
        }
    ]

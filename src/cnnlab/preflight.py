"""The verb `check`: everything that can be known before the long run."""

import math
import time

import torch

from cnnlab import trainer as trainers
from cnnlab.complexity.count import count
from cnnlab.complexity.table import summary_line
from cnnlab.config import Composed
from cnnlab.data.batch import Batch
from cnnlab.data.module import DataModule
from cnnlab.errors import UserError
from cnnlab.tasks.base import Task
from cnnlab.tasks.build import build_parts


def preflight(composed: Composed) -> None:
    """Print what the data hold, what one training step does and what the net costs.

    Raises:
        UserError: the first thing that would stop the run.
    """
    cfg = composed.cfg.copy()
    trainers.resolve(cfg.trainer)
    torch.set_num_threads(cfg.trainer.threads)
    data, task = build_parts(cfg)
    data.describe(lambda line: _say("data", line))
    data.check_files(lambda line: _say("files", line))
    _say("cost", summary_line(count(task.net, (data.channels, *data.image_size))))
    _one_step(data, task)
    report = getattr(task.net.backbone, "load_report", None)
    if report is not None:
        _say("weights", str(report))


def _one_step(data: DataModule, task: Task) -> None:
    """Forward and backward of the first training batch, on the CPU in float32."""
    start = time.perf_counter()
    host = next(iter(data.train_dataloader()))
    read_s = time.perf_counter() - start
    batch: Batch = data.prepare(host, True, 0)
    start = time.perf_counter()
    loss = torch.stack(list(task.losses(task.net(batch.images), batch).values())).sum()
    loss.backward()
    if not math.isfinite(loss.item()):
        raise UserError(f"the loss of the first batch is {loss.item()}")
    shape = " x ".join(map(str, batch.images.shape))
    step_s = time.perf_counter() - start
    _say("batch", f"{shape}, read in {read_s:.2f} s; loss {loss.item():.4f}, step {step_s:.2f} s")
    unused = [name for name, p in task.named_parameters() if p.requires_grad and p.grad is None]
    if unused:
        _say("batch", f"{len(unused)} parameters get no gradient: {', '.join(unused[:4])}")


def _say(topic: str, line: str) -> None:
    print(f"{topic:<9}{line}", flush=True)

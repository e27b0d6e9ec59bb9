"""The verb `check`: everything that can be known before the long run."""

import math
import sys
import time
from pathlib import Path
from typing import Any

import torch
from hydra.utils import get_class

from cnnlab import default_net
from cnnlab import trainer as trainers
from cnnlab.anchor_doctor import figure as anchor_figure
from cnnlab.anchor_doctor.diagnosis import diagnose, words
from cnnlab.anchor_doctor.report import lines
from cnnlab.atomic import replacing
from cnnlab.complexity.count import count
from cnnlab.complexity.table import summary_line
from cnnlab.config import Composed
from cnnlab.data.batch import Batch
from cnnlab.data.module import DataModule
from cnnlab.data.names import Names
from cnnlab.data.source import FileSource
from cnnlab.errors import UserError
from cnnlab.tasks.base import Task
from cnnlab.tasks.build import build_parts

_DPI = 110


def preflight(composed: Composed, figure: Path | None) -> None:
    """Print what the data hold, what one training step does and what the net costs.

    In detection also whether the anchors meet the boxes.

    Args:
        composed: a checked config.
        figure: where to draw the anchors.

    Raises:
        UserError: the first thing that would stop the run; a figure where nothing is drawn.
    """
    detects = _detects(composed)
    if figure is not None:
        if not detects:
            raise UserError(f"--figure {figure}: is of anchors, which only task=detection has")
        anchor_figure.refuse(figure)
    data, task = _parts(composed)
    data.describe(lambda line: _say("data", line))
    data.check_files(lambda line: _say("files", line))
    _say("cost", summary_line(count(task.net, (data.channels, *data.image_size))))
    if line := default_net.remark(composed, task, data.image_size):
        _say("model", line)
    _one_step(data, task)
    report = getattr(task.net.backbone, "load_report", None)
    if report is not None:
        _say("weights", str(report))
    if detects:
        found = diagnose(data, task, data.seed)
        for line in lines(found, _names(data)):
            _say("anchors", line)
        if figure is not None:
            with replacing(figure, 0) as part:
                anchor_figure.draw(found).savefig(part, format=figure.suffix[1:], dpi=_DPI)
            _say("anchors", f"drawn: {figure}")


def fitted_anchors(composed: Composed) -> str:
    """The config word for anchors that are fitted to the data set of a checked config.

    Of the present ones where the fitted cover the boxes no better, which a line on stderr says.

    Raises:
        UserError: another task; no boxes.
    """
    if not _detects(composed):
        raise UserError(f"task={composed.choices['task']}: only task=detection has anchors")
    data, task = _parts(composed)
    found = diagnose(data, task, data.seed)
    if found.is_worth_it:
        return words(found.shapes)
    print("the fitted anchors are no better: these are the present ones", file=sys.stderr)
    return words([level.shapes for level in found.levels])


def _detects(composed: Composed) -> bool:
    task: Any = get_class(composed.cfg.task._target_)
    return "detection" in task.tasks


def _parts(composed: Composed) -> tuple[DataModule, Task]:
    cfg = composed.cfg.copy()
    trainers.resolve(cfg.trainer)
    torch.set_num_threads(cfg.trainer.threads)
    return build_parts(cfg)


def _names(data: DataModule) -> Names | None:
    """Of the files of the training images, where they are files."""
    assert data.splits is not None  # it is set up
    source = data.splits.train
    return source.names if isinstance(source, FileSource) else None


def _one_step(data: DataModule, task: Task) -> None:
    """Forward and backward of the first training batch, on the CPU in float32."""
    start = time.perf_counter()
    host = next(iter(data.train_dataloader()))
    read_s = time.perf_counter() - start
    batch: Batch = data.prepare(host, True, 0)
    shape = " x ".join(map(str, batch.images.shape))
    _say("batch", f"{shape}, read in {read_s:.2f} s; one training step of it ...")
    start = time.perf_counter()
    loss = torch.stack(list(task.losses(task.net(batch.images), batch).values())).sum()
    loss.backward()
    if not math.isfinite(loss.item()):
        raise UserError(f"the loss of the first batch is {loss.item()}")
    _say("batch", f"loss {loss.item():.4f}, step {time.perf_counter() - start:.2f} s")
    unused = [name for name, p in task.named_parameters() if p.requires_grad and p.grad is None]
    if unused:
        _say("batch", f"{len(unused)} parameters get no gradient: {', '.join(unused[:4])}")


def _say(topic: str, line: str) -> None:
    print(f"{topic:<9}{line}", flush=True)

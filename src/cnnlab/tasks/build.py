"""From a checked config and a data set to a task: the one place where the parts meet."""

import traceback
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_class
from hydra.utils import instantiate as hydra_instantiate
from omegaconf import DictConfig

from cnnlab.data.module import DataModule
from cnnlab.errors import UserError
from cnnlab.tasks.base import Task


def instantiate(node: DictConfig) -> Any:
    """What the node's `_target_` makes of it, given plain lists and dicts (workers pickle them).

    Raises:
        UserError: the target's module cannot be imported; what it raises itself goes through.
    """
    try:
        return hydra_instantiate(node, _convert_="all")
    except InstantiationException as error:
        if "Error locating target" not in str(error):
            raise
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        places = traceback.extract_tb(cause.__traceback__)
        place = f" ({Path(places[-1].filename).name}, line {places[-1].lineno})" if places else ""
        raise UserError(
            f"{node._target_}: its import failed: {type(cause).__name__}: {cause}{place}"
        ) from error


def build(cfg: DictConfig, data: DataModule) -> Task:
    """The task of `cfg`, for the classes, channels and counts that `data` (set up) has.

    Raises:
        UserError: labels that do not fit the task; weights that are not what was asked for.
    """
    backbone = instantiate(cfg.model)
    net = instantiate(cfg.head)(backbone, len(data.classes), data.channels)
    # Preprocessing that the data leaves open is what the net was trained with.
    data.adopt(net.backbone.pretrained_cfg)
    task: Task = instantiate(cfg.task)(
        net,
        instantiate(cfg.loss)(data.class_counts),
        instantiate(cfg.optimizer),
        instantiate(cfg.scheduler),
        data.classes,
        cfg.seed,
    )
    task.suits(data)
    return task


def build_parts(cfg: DictConfig) -> tuple[DataModule, Task]:
    """Data, set up, and task."""
    data: Any = instantiate(cfg.data)
    task: Any = get_class(cfg.task._target_)
    data.serve(task.tasks)
    data.setup()
    return data, build(cfg, data)

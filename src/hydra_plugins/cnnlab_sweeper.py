"""Hydra's name for the multirun of cnnlab: `override /hydra/sweeper: cnnlab` in a config file.

`train.py` knows `-m` and `ablation=` by itself; this serves programs that are Hydra's own. Hydra
imports every module of this package whenever it composes, so nothing heavy is imported here.
"""

from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.plugins.sweeper import Sweeper


@dataclass
class CnnlabSweeperConfig:
    """The node `hydra.sweeper`."""

    _target_: str = "hydra_plugins.cnnlab_sweeper.CnnlabSweeper"


ConfigStore.instance().store(
    group="hydra/sweeper", name="cnnlab", node=CnnlabSweeperConfig, provider="cnnlab"
)


class CnnlabSweeper(Sweeper):
    """Plans and launches what the command line stands for; each job is a process of `train.py`."""

    def setup(self, *, hydra_context: Any, task_function: Any, config: Any) -> None:
        """Keep nothing: the words say it all."""

    def sweep(self, arguments: list[str]) -> int:
        """The exit code of the multirun that `arguments`, as typed after -m, stand for."""
        from cnnlab.ablation.command import multirun

        return multirun(["-m", *arguments])

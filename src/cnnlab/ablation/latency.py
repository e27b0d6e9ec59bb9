"""How long the nets of two configs take, side by side."""

import statistics
from typing import TYPE_CHECKING, Any

from cnnlab.ablation.costs import Costs

if TYPE_CHECKING:
    from omegaconf import DictConfig

PAIRS = 5
"""How often the net that was found is timed in turn with the baseline's."""


class Timed:
    """The net of a config under the conditions of its run, on this machine as it is now.

    Those are device, precision, memory format and threads (`trainer.threads`, else all cores). Jobs
    that run side by side have fewer, so a plan that holds a latency refuses them.

    Args:
        costs: builds the net.
        cfg: composed and checked; left as it is.

    Raises:
        UserError: no such device; the net cannot be built.
    """

    def __init__(self, costs: Costs, cfg: "DictConfig") -> None:
        import torch
        from hydra.utils import instantiate
        from lightning.pytorch import LightningModule

        from cnnlab import trainer as trainers

        own = cfg.copy()
        trainers.resolve(own.trainer)
        self.net, self.size = costs.net(own, meta=False)
        self.threads: int = own.trainer.threads
        holder = LightningModule()
        holder.net = self.net
        before = torch.get_num_threads()
        try:
            # Brings the net into the run's memory format, too.
            trainer: Any = instantiate(own.trainer)(holder, [], [], None)
        finally:
            torch.set_num_threads(before)
        self.device = trainer.strategy.root_device
        self.context = trainer.precision_plugin.forward_context

    def ms(self) -> float:
        """What a run would record now as `cost/latency_ms`."""
        from cnnlab.complexity.timing import latency_ms

        return latency_ms(self.net, self.size, self.device, self.context, self.threads).median_ms


class Beside:
    """Latencies that are measured in turn with the baseline's.

    What slows the machine for a while slows both, so their ratio is steadier than either.

    Args:
        costs: builds the nets.
        baseline: config of the baseline.

    Attributes:
        target: of the baseline, in ms.
    """

    def __init__(self, costs: Costs, baseline: "DictConfig") -> None:
        self.costs = costs
        self.baseline = Timed(costs, baseline)
        self.target = self.baseline.ms()

    def ms(self, cfg: "DictConfig", pairs: int = 1) -> float:
        """Of the net of `cfg`: the target times the median ratio of so many pairs."""
        one = Timed(self.costs, cfg)
        ratios = [one.ms() / self.baseline.ms() for _ in range(pairs)]
        return self.target * statistics.median(ratios)

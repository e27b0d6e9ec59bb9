import pytest
import torch

from cnnlab.ablation import latency
from cnnlab.ablation.costs import Costs
from cnnlab.ablation.latency import PAIRS, Beside, Timed
from cnnlab.complexity import timing
from cnnlab.config import compose


def test_conditions_are_those_of_the_run(monkeypatch):
    seen = {}

    def record(net, size, device, precision, threads):
        with precision():
            seen.update(size=size, device=device.type, threads=threads)
            seen["bf16"] = torch.is_autocast_enabled("cpu")
        weight = next(p for p in net.parameters() if p.ndim == 4)
        seen["channels_last"] = weight.is_contiguous(memory_format=torch.channels_last)
        return timing.Latency(1.5, 2.0, "cpu", threads)

    monkeypatch.setattr(timing, "latency_ms", record)
    before = torch.get_num_threads()
    words = "data=cifar10 model=resnet20_cifar trainer.accelerator=cpu trainer.threads=3"
    cfg = compose([*words.split(), "trainer.precision=bf16-mixed"]).cfg
    assert Timed(Costs(), cfg).ms() == 1.5
    assert seen == {
        "size": (3, 32, 32),
        "device": "cpu",
        "threads": 3,
        "bf16": True,
        "channels_last": True,
    }
    assert torch.get_num_threads() == before
    assert cfg.trainer.channels_last == "auto"


def test_a_real_net_takes_some_time(monkeypatch):
    monkeypatch.setattr(timing, "RUNS", 3)
    monkeypatch.setattr(timing, "WARMUP", 1)
    cfg = compose(["data=digits", "model=lenet5_modern", "trainer.threads=1"]).cfg
    assert 0 < Timed(Costs(), cfg).ms() < 1000


class Slowing:
    """Takes 6 or 2 ms, and more each time anything is timed; once a disturbance takes tenfold."""

    times = 0

    def __init__(self, costs, cfg):
        self.own = cfg

    def ms(self):
        Slowing.times += 1
        return self.own * 1.1**Slowing.times * (10 if Slowing.times == 4 else 1)


def test_what_slows_the_machine_slows_both(monkeypatch):
    monkeypatch.setattr(latency, "Timed", Slowing)
    beside = Beside(Costs(), 2)
    assert beside.target == 2 * 1.1
    assert beside.ms(6, PAIRS) == pytest.approx(beside.target * 3 / 1.1)
    assert Slowing.times == 1 + 2 * PAIRS

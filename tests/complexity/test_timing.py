import time
from contextlib import contextmanager

import pytest
import torch
from torch import nn

from cnnlab.complexity import timing
from cnnlab.complexity.timing import latency_ms, peak_memory_mb


class Sleep(nn.Module):
    """Takes 3 ms, the first ten times (and every tenth after) much longer."""

    calls = 0

    def forward(self, x):
        Sleep.calls += 1
        slow = Sleep.calls <= 10 or Sleep.calls % 10 == 0
        time.sleep(0.02 if slow else 0.003)
        return x


def test_median_of_thirty_after_ten():
    Sleep.calls = 0
    latency = latency_ms(Sleep(), (3, 8, 8), "cpu")
    assert Sleep.calls == timing.WARMUP + timing.RUNS == 40
    assert 3 <= latency.median_ms < 20  # 3 slow runs of 30 do not move the median
    assert latency.p95_ms >= 20


def test_conditions_of_the_run():
    seen = []

    class Probe(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(
                torch.zeros(4, 3, 1, 1).to(memory_format=torch.channels_last)
            )

        def forward(self, x):
            seen.append(
                (
                    tuple(x.shape),
                    self.training,
                    torch.is_inference_mode_enabled(),
                    torch.get_num_threads(),
                    torch.is_autocast_enabled("cpu"),
                )
            )
            return x

    entered = []

    @contextmanager
    def bf16():
        entered.append(1)
        with torch.autocast("cpu", torch.bfloat16):
            yield

    threads = torch.get_num_threads()
    latency = latency_ms(Probe(), (3, 9, 7), "cpu", bf16, threads=2)
    assert set(seen) == {((1, 3, 9, 7), False, True, 2, True)}
    assert len(entered) == len(seen)  # the context of each forward, as in training
    assert (latency.threads, latency.device) == (2, "cpu")
    assert torch.get_num_threads() == threads


def test_threads_are_restored_after_an_error():
    threads = torch.get_num_threads()
    with pytest.raises(RuntimeError, match="channels"):
        latency_ms(nn.Conv2d(3, 4, 1), (5, 8, 8), "cpu", threads=threads + 1)
    assert torch.get_num_threads() == threads


def test_leaves_no_trace(net_in_training, left_alone):
    with left_alone(net_in_training):
        latency_ms(net_in_training, (3, 32, 32), "cpu")


@pytest.mark.parametrize("channels_last", [False, True])
def test_memory_format_is_the_nets(channels_last):
    fmt = torch.channels_last if channels_last else torch.contiguous_format
    net = nn.Conv2d(3, 4, 3).to(memory_format=fmt)
    image = timing._image(net, (3, 8, 8), torch.device("cpu"))
    assert image.is_contiguous(memory_format=fmt)


def test_peak_memory_of_the_process_grows_with_it():
    before = peak_memory_mb("cpu")
    block = torch.ones(64 * 2**20)  # 256 MiB
    assert peak_memory_mb("cpu") >= max(before, block.numel() * 4 / 2**20)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda():
    torch.cuda.reset_peak_memory_stats()
    net = nn.Conv2d(64, 64, 3)
    latency = latency_ms(net, (64, 512, 512), "cuda")
    assert latency.median_ms > 0.01
    assert net.weight.device.type == "cpu"
    assert peak_memory_mb("cuda") >= 2 * 64 * 512 * 510 * 4 / 2**20

"""How long a forward takes on this machine, and how much memory was needed."""

import copy
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cnnlab.complexity.whole import whole

WARMUP = 10
RUNS = 30


@dataclass(frozen=True)
class Latency:
    """Time of one forward at batch 1, over `RUNS` forwards after `WARMUP`.

    Attributes:
        median_ms: what `cost/latency_ms` is.
        p95_ms: 95th percentile.
        device: its name.
        threads: CPU threads that operators could use.
    """

    median_ms: float
    p95_ms: float
    device: str
    threads: int


def latency_ms(
    net: nn.Module,
    input_size: tuple[int, int, int],
    device: torch.device | str,
    precision: Callable[[], AbstractContextManager[object]] = nullcontext,
    threads: int | None = None,
) -> Latency:
    """Time `net` at `input_size` (C, H, W), in evaluation mode, not compiled.

    A copy is timed: the net, its mode and its statistics stay as they are, and nothing that a
    forward caches under inference mode gets into training.

    Args:
        net: on any device; its memory format is kept.
        input_size: of the one image, without the batch.
        device: where to run.
        precision: makes the context of one forward, as training enters it
            (Lightning: `trainer.precision_plugin.forward_context`).
        threads: CPU threads while timing; None: as they are.
    """
    device = torch.device(device)
    twin = copy.deepcopy(net).to(device).eval()
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            image = _image(twin, input_size, device)
            clock = _cuda_clock if device.type == "cuda" else _host_clock

            def forward() -> None:
                with precision():
                    whole(twin, image)

            for _ in range(WARMUP):
                clock(forward, device)
            times = [clock(forward, device) for _ in range(RUNS)]
        used = torch.get_num_threads()
    finally:
        torch.set_num_threads(before)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    p95 = statistics.quantiles(times, n=20, method="inclusive")[-1]
    return Latency(statistics.median(times), p95, name, used)


def _image(net: nn.Module, input_size: tuple[int, int, int], device: torch.device) -> Tensor:
    """Noise from a generator of its own: zeros would be faster than images on some devices."""
    floats = [p for p in net.parameters() if p.is_floating_point()]
    channels_last = any(
        p.ndim == 4 and p.is_contiguous(memory_format=torch.channels_last) and not p.is_contiguous()
        for p in floats
    )
    generator = torch.Generator().manual_seed(0)
    return torch.randn(1, *input_size, generator=generator).to(
        device,
        floats[0].dtype if floats else torch.float32,
        memory_format=torch.channels_last if channels_last else torch.contiguous_format,
    )


def _cuda_clock(forward: Callable[[], None], device: torch.device) -> float:
    """Milliseconds between two events around one forward, on an idle stream."""
    with torch.cuda.device(device):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        start.record()
        forward()
        end.record()
        end.synchronize()
        return start.elapsed_time(end)


def _host_clock(forward: Callable[[], None], device: torch.device) -> float:
    start = time.perf_counter()
    forward()
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
    return (time.perf_counter() - start) * 1e3


def peak_memory_mb(device: torch.device | str) -> float | None:
    """Most memory needed so far, in MiB; None where the system does not tell.

    On a CUDA device: of tensors, since its statistics were reset. Elsewhere: of the process
    (resident set), since it began.
    """
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        import resource  # Unix only
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10  # bytes there, KiB elsewhere

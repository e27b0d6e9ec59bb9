"""`trainer.precision=auto` against float32: one training step of ResNeXt-50."""

import statistics
import time
from contextlib import nullcontext
from typing import Any

import timm
import torch
from torch.nn import functional as F

from cnnlab import trainer as trainers

ON_GPU = True


def measure(device: torch.device) -> list[dict[str, Any]]:
    node: dict[str, Any] = {"accelerator": "gpu" if device.type == "cuda" else "cpu"}
    node |= {"precision": "auto", "channels_last": "auto", "threads": None}
    trainers.resolve(node)
    batch, size = (64, 224) if device.type == "cuda" else (8, 160)
    torch.set_num_threads(node["threads"])
    step = {
        "auto": _step(
            device, batch, size, node["precision"] == "bf16-mixed", node["channels_last"]
        ),
        "float32": _step(device, batch, size, False, False),
    }
    times: dict[str, list[float]] = {"auto": [], "float32": []}
    for round_ in range(4):
        for name, act in step.items():
            start = time.perf_counter()
            act()
            if round_:
                times[name].append(time.perf_counter() - start)
    rate = {name: batch / statistics.median(seconds) for name, seconds in times.items()}
    return [
        {
            "name": f"precision=auto ({node['precision']}), ResNeXt-50",
            "ours": rate["auto"],
            "reference": rate["float32"],
            "unit": f"images/s, forward and backward at {size} px; reference: 32-true",
            "ratio": rate["auto"] / rate["float32"],
            "target": "1.7 where the processor has bf16 units",
            "note": f"batch {batch}",
        }
    ]


def _step(device: torch.device, batch: int, size: int, bf16: bool, channels_last: bool) -> Any:
    layout = torch.channels_last if channels_last else torch.contiguous_format
    net = timm.create_model("resnext50_32x4d").to(device, memory_format=layout).train()
    images = torch.rand(batch, 3, size, size, device=device).to(memory_format=layout)
    targets = torch.randint(1000, (batch,), device=device)
    context = torch.autocast(device.type, torch.bfloat16) if bf16 else nullcontext()

    def act() -> None:
        with context:
            loss = F.cross_entropy(net(images), targets)
        net.zero_grad()
        loss.backward()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return act

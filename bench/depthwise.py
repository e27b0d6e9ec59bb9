"""bf16-mixed on a CPU with depthwise convolutions in float32, against plain autocast."""

import statistics
import time
from typing import Any

import timm
import torch
from torch.nn import functional as F

from cnnlab.depthwise import in_float32

BATCH, SIDE = 8, 160


def measure() -> list[dict[str, Any]]:
    return [_row(name) for name in ("efficientnet_b0", "mobilenetv2_100", "convnext_atto")]


def _row(name: str) -> dict[str, Any]:
    nets = {key: timm.create_model(name).to(memory_format=torch.channels_last) for key in "ab"}
    in_float32(nets["a"])
    images = torch.rand(BATCH, 3, SIDE, SIDE).to(memory_format=torch.channels_last)
    targets = torch.randint(1000, (BATCH,))
    times: dict[str, list[float]] = {key: [] for key in nets}
    for round_ in range(6):
        for key, net in nets.items():
            start = time.perf_counter()
            with torch.autocast("cpu", torch.bfloat16):
                loss = F.cross_entropy(net(images), targets)
            net.zero_grad()
            loss.backward()
            if round_:
                times[key].append(time.perf_counter() - start)
    ours, plain = (BATCH / statistics.median(seconds) for seconds in times.values())
    return {
        "name": f"depthwise in float32 under bf16, {name}",
        "ours": ours,
        "reference": plain,
        "unit": f"images/s, forward and backward at {SIDE} px; reference: torch.autocast",
        "ratio": ours / plain,
        "target": "1 or more",
        "note": f"batch {BATCH}",
    }

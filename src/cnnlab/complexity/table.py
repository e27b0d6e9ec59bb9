"""How a cost is shown: as a table, as JSON, in one line, and as keys of the run record."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from io import StringIO
from typing import Any

from rich.console import Console
from rich.table import Table

from cnnlab.complexity.count import Cost, LayerCost
from cnnlab.complexity.timing import Latency


def render(cost: Cost) -> str:
    """A table of `cost.layers` and their sum; shapes as channels x height x width."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("layer", no_wrap=True)
    table.add_column("type", no_wrap=True)
    for title in ("output", "parameters", "MACs", "activations", "memory/KB", "receptive field"):
        table.add_column(title, justify="right", no_wrap=True)
    image = LayerCost("input", "", cost.input_size, receptive_field=(1, 1))
    table.add_row(image.name, image.type, *_cells(image))
    for layer in cost.layers:
        table.add_row(layer.name or "(net)", layer.type, *_cells(layer))
    totals = (cost.params, cost.macs, cost.activations)
    table.add_row(f"total at {_by(cost.input_size)}", "", "", *(f"{n:,}" for n in totals), "", "")
    out = StringIO()
    Console(file=out, width=400, color_system=None).print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def _cells(layer: LayerCost) -> list[str]:
    counts = (layer.params, layer.macs, layer.activations)
    height, width = layer.receptive_field
    field = str(height or "-") if height == width else f"{height}x{width}"
    memory = f"{_memory_kb(layer):,.0f}" if layer.output else "-"
    return [_by(layer.output), *(f"{n:,}" if n else "-" for n in counts), memory, field]


def _memory_kb(layer: LayerCost) -> float:
    """Of the output in float32, as the table of deck 1 has it; 1 KB = 1024 bytes."""
    return 4 * math.prod(layer.output) / 1024 if layer.output else 0.0


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "-"


def to_dict(cost: Cost) -> dict[str, Any]:
    """Plain values: input [C, H, W], params, trainable_params, macs, activations, layers.

    Each layer has `memory_kb` besides the attributes of `LayerCost`.
    """
    values = asdict(cost)
    values["layers"] = [asdict(row) | {"memory_kb": _memory_kb(row)} for row in cost.layers]
    return {"input": values.pop("input_size"), **values}


def summary_line(cost: Cost, latency: Latency | None = None) -> str:
    """`25.56 M parameters, 4.089 GMACs, 11.11 M activations at 3x224x224; 51.2 ms on cpu (...)`."""
    line = (
        f"{cost.params / 1e6:.4g} M parameters, {cost.macs / 1e9:.4g} GMACs, "
        f"{cost.activations / 1e6:.4g} M activations at {_by(cost.input_size)}"
    )
    if latency is None:
        return line
    threads = f"{latency.threads} thread{'s' * (latency.threads > 1)}"
    where = f"{latency.device}, {threads}" if latency.device == "cpu" else latency.device
    return f"{line}; {latency.median_ms:.3g} ms an image ({where})"


def keys_line(keys: Mapping[str, float | None]) -> str:
    """`25.56 M parameters, 4.089 GMACs, 11.11 M activations, 51.2 ms an image`, of `cost/...`."""
    formats = {
        "cost/params_m": "{:.4g} M parameters",
        "cost/gmacs": "{:.4g} GMACs",
        "cost/activations_m": "{:.4g} M activations",
        "cost/latency_ms": "{:.3g} ms an image",
    }
    known = {key: value for key, value in keys.items() if value is not None}
    return ", ".join(text.format(known[key]) for key, text in formats.items() if key in known)


def cost_keys(
    cost: Cost, latency: Latency | None = None, peak_memory_mb: float | None = None
) -> dict[str, float | None]:
    """The `cost/...` values of a run; None: not measured."""
    return {
        "cost/params_m": cost.params / 1e6,
        "cost/gmacs": cost.macs / 1e9,
        "cost/activations_m": cost.activations / 1e6,
        "cost/latency_ms": latency.median_ms if latency else None,
        "cost/peak_memory_mb": peak_memory_mb,
    }

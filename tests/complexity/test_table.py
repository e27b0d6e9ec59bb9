import json

import pytest
from torch import nn

from cnnlab.complexity.count import count
from cnnlab.complexity.table import cost_keys, keys_line, render, summary_line, to_dict
from cnnlab.complexity.timing import Latency


@pytest.fixture(scope="module")
def cost():
    layers = [nn.Conv2d(3, 8, (3, 1), 2), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1)]
    return count(nn.Sequential(*layers, nn.Flatten(), nn.Dropout(), nn.Linear(8, 10)), (3, 33, 32))


def test_table_has_every_layer_and_their_sum(cost):
    lines = [line.split() for line in render(cost).splitlines()]
    assert lines == [
        [
            "layer",
            "type",
            "output",
            "parameters",
            "MACs",
            "activations",
            "memory/KB",
            "receptive",
            "field",
        ],
        ["input", "3x33x32", "-", "-", "-", "12", "1"],
        ["0", "Conv2d", "8x16x16", "80", "18,432", "2,048", "8", "3x1"],
        ["1", "BatchNorm2d", "8x16x16", "16", "-", "-", "8", "3x1"],
        ["3", "AdaptiveAvgPool2d", "8x1x1", "-", "-", "-", "0", "33x31"],
        ["4", "Flatten", "8", "-", "-", "-", "0", "33x31"],
        ["6", "Linear", "10", "90", "80", "10", "0", "33x31"],
        ["total", "at", "3x33x32", "186", "18,512", "2,058"],
    ]


def test_json_is_plain(cost):
    values = json.loads(json.dumps(to_dict(cost)))
    assert (values["params"], values["macs"], values["activations"]) == (186, 18_512, 2_058)
    assert values["input"] == [3, 33, 32]
    assert values["layers"][0]["receptive_field"] == [3, 1]


def test_keys_of_the_record(cost):
    latency = Latency(median_ms=1.5, p95_ms=2.0, device="cpu", threads=2)
    assert cost_keys(cost, latency, 100.0) == {
        "cost/params_m": 186e-6,
        "cost/gmacs": pytest.approx(18_512e-9),
        "cost/activations_m": 2_058e-6,
        "cost/latency_ms": 1.5,
        "cost/peak_memory_mb": 100.0,
    }
    unmeasured = cost_keys(cost)
    assert unmeasured["cost/latency_ms"] is unmeasured["cost/peak_memory_mb"] is None


def test_summary_line(cost):
    latency = Latency(median_ms=1.5, p95_ms=2.0, device="cpu", threads=2)
    counts = "0.000186 M parameters, 1.851e-05 GMACs, 0.002058 M activations at 3x33x32"
    assert summary_line(cost) == counts
    assert summary_line(cost, latency) == f"{counts}; 1.5 ms an image (cpu, 2 threads)"


def test_line_of_a_records_keys(cost):
    keys = cost_keys(cost, Latency(median_ms=1.5, p95_ms=2.0, device="cpu", threads=2))
    counts = "0.000186 M parameters, 1.851e-05 GMACs, 0.002058 M activations"
    assert keys_line(keys) == f"{counts}, 1.5 ms an image"
    assert keys_line(cost_keys(cost)) == counts

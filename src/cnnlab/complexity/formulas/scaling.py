"""Widths, depths and constants of families of nets; the size of a search space."""

from collections.abc import Sequence
from itertools import groupby
from math import exp, log, pi, prod, sqrt


def resnext_macs_per_pixel(channels: int, groups: int, width: float) -> float:
    """F15: 1x1, 3x3 in groups of `width` channels, 1x1, between 4C channels: 8 G C c + 9 G c^2."""
    return 8 * groups * channels * width + 9 * groups * width**2


def resnext_width(channels: int, groups: int) -> float:
    """F15: the c for which F15 equals the ungrouped block's 17 C^2."""
    return channels * (sqrt(16 + 153 / groups) - 4) / 9


def resnext_channels(planes: int, width_per_group: int, groups: int) -> int:
    """F16: of the 3x3 convolution in code, floor(planes * base_width / 64) * cardinality."""
    return planes * width_per_group // 64 * groups


def compound_scaling(
    phi: float, alpha: float = 1.2, beta: float = 1.1, gamma: float = 1.15
) -> tuple[float, float, float]:
    """F17: EfficientNet's factors of depth, width and resolution."""
    return alpha**phi, beta**phi, gamma**phi


def scaled_cost(depth: float, width: float, resolution: float) -> float:
    """F17: multiply-adds go with d w^2 r^2."""
    return depth * width**2 * resolution**2


def nf_betas(depths: Sequence[int], alpha: float) -> list[list[float]]:
    """F29: beta = sqrt(Var) of each block in each stage of an NFNet.

    Var grows by alpha^2 a block and is 1 + alpha^2 after the first block of a stage.
    """
    variance, stages = 1.0, []
    for blocks in depths:
        betas = []
        for block in range(blocks):
            betas.append(sqrt(variance))
            variance = (1.0 if block == 0 else variance) + alpha**2
        stages.append(betas)
    return stages


def preact_variance(blocks: int) -> float:
    """F29: without that, where each block's variance is that of its input: 2^l."""
    return 2.0**blocks


def relu_gain() -> float:
    """F30: of scaled weight standardisation, sqrt(2 / (1 - 1/pi))."""
    return sqrt(2 / (1 - 1 / pi))


def standardise(weights: Sequence[float], gain: float) -> list[float]:
    """F30: one filter's weights, gain (W - mean) / (std sqrt(fan-in))."""
    mean = sum(weights) / len(weights)
    deviation = sqrt(sum((w - mean) ** 2 for w in weights))  # std * sqrt(fan-in)
    return [gain * (w - mean) / deviation for w in weights]


def regnet_block_widths(depth: int, w0: float, wa: float, wm: float) -> list[int]:
    """F31: linear widths u_j = w0 + wa j, each rounded to a power of wm times w0, then to 8s."""
    powers = [round(log((w0 + wa * j) / w0) / log(wm)) for j in range(depth)]
    return [8 * round(w0 * wm**power / 8) for power in powers]


def regnet_stages(
    depth: int, w0: float, wa: float, wm: float, group_width: int
) -> tuple[list[int], list[int]]:
    """F31: widths of the stages, as multiples of the group width, and their depths."""
    stages = [(w, len(list(js))) for w, js in groupby(regnet_block_widths(depth, w0, wa, wm))]
    group = [min(group_width, width) for width, _ in stages]
    widths = [round(width / g) * g for (width, _), g in zip(stages, group, strict=True)]
    return widths, [blocks for _, blocks in stages]


def survival(block: int, blocks: int, last: float) -> float:
    """F32: of block l of L under stochastic depth, 1 - l / L (1 - p_L)."""
    return 1 - block / blocks * (1 - last)


def expected_blocks(blocks: int, last: float) -> float:
    """F32: how many survive on average; (3L - 1) / 4 for p_L = 1/2."""
    return sum(survival(block, blocks, last) for block in range(1, blocks + 1))


def densenet_channels(stem: int, growth: int, layers: Sequence[int]) -> list[tuple[int, int]]:
    """F34: after each dense block (C + k layers), and after its transition (half; none last)."""
    channels, stages = stem, []
    for index, count in enumerate(layers):
        wide = channels + growth * count
        channels = wide // 2 if index < len(layers) - 1 else wide
        stages.append((wide, channels))
    return stages


def wrn_blocks(depth: int) -> int:
    """F35: of each of the three groups of WRN-d-k, (d - 4) / 6."""
    return _whole(depth - 4, 6)


def wrn_widths(widen: int) -> list[int]:
    """F35: stem, then the groups."""
    return [16, 16 * widen, 32 * widen, 64 * widen]


def cifar_resnet_blocks(depth: int, bottleneck: bool = False) -> int:
    """F36: of each of the three stages, (d - 2) / 6, or / 9 with bottlenecks."""
    return _whole(depth - 2, 9 if bottleneck else 6)


def _whole(layers: int, per_block: int) -> int:
    if layers % per_block:
        raise ValueError(f"{layers} layers do not make blocks of {per_block}")
    return layers // per_block


def nasnet_cells(blocks: int = 5, operations: int = 13, joins: int = 2) -> int:
    """F37: cells of NASNet's space; block b chooses 2 of its b + 1 inputs, 2 operations, a join.

    A net has two cells, chosen independently: the square.
    """
    return prod((block + 1) ** 2 * operations**2 * joins for block in range(1, blocks + 1))


def controller_gradient(logits: Sequence[float], action: int, advantage: float) -> list[float]:
    """F38: REINFORCE, grad log P(a) (R - b) with respect to a softmax's logits, to be ascended."""
    total = sum(exp(logit) for logit in logits)
    return [advantage * ((i == action) - exp(z) / total) for i, z in enumerate(logits)]

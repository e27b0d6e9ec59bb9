"""The nets of regnet_space were drawn, not chosen: the draws are made again and compared."""

import math
from random import Random
from typing import Any

import pytest
from omegaconf import OmegaConf

from cnnlab.backbones.anynet import stages_of, whole_groups
from cnnlab.complexity.count import count
from cnnlab.config.folder import CONF

DRAWN = 8
"""Nets of each space."""
BAND = (180e6, 220e6)
"""MACs at 224 pixels."""
Stages = tuple[list[int], list[int], list[int], list[float]]
"""Of four stages blocks, widths, group widths, bottleneck ratios."""


def log_uniform(draw: Random, low: float, high: float) -> float:
    return math.exp(draw.uniform(math.log(low), math.log(high)))


def anynet(draw: Random) -> tuple[list[str], Stages]:
    """AnyNetX (Radosavovic et al. 2020, sec. 3.1): 16 numbers; those of a stage of their own."""
    depths = [round(log_uniform(draw, 0.5, 16.5)) or 1 for _ in range(4)]
    depths = [min(depth, 16) for depth in depths]
    widths = [8 * min(128, max(1, round(log_uniform(draw, 4, 1028) / 8))) for _ in range(4)]
    ratios = [float(draw.choice((1, 2, 4))) for _ in range(4)]
    groups = [draw.choice((1, 2, 4, 8, 16, 32)) for _ in range(4)]
    fitted = [whole_groups(*of) for of in zip(widths, groups, ratios, strict=True)]
    widths, groups = [width for width, _ in fitted], [group for _, group in fitted]
    words = [f"model.depths={depths}", f"model.widths={widths}"]
    words += [f"model.bottleneck_ratio={ratios}", f"model.group_width={groups}"]
    return ["model=anynet", *(word.replace(" ", "") for word in words)], (
        depths,
        widths,
        groups,
        ratios,
    )


def regnet(draw: Random) -> tuple[list[str], Stages] | None:
    """RegNetX (sec. 3.2): 6 numbers; None where they do not give four stages."""
    depth = min(63, max(1, round(log_uniform(draw, 0.5, 63.5))))
    w0 = 8 * min(31, max(1, round(log_uniform(draw, 4, 252) / 8)))
    wa = round(log_uniform(draw, 1, 256), 1)
    wm = round(log_uniform(draw, 1.5, 3), 2)
    ratio, group = float(draw.choice((1, 2, 4))), draw.choice((1, 2, 4, 8, 16, 32))
    depths, widths, groups = stages_of(depth, w0, wa, wm, group, ratio)
    if len(depths) != 4:
        return None
    words = [f"model.depth={depth}", f"model.w0={w0}", f"model.wa={wa}", f"model.wm={wm}"]
    words += [f"model.group_width={group}", f"model.bottleneck_ratio={ratio}"]
    return ["model=regnet_generated", *words], (depths, widths, groups, [ratio] * 4)


def macs(stages: Stages, classes: int = 1000) -> int:
    """At 224 pixels, layer by layer."""
    total, before, side = 27 * 32 * 112**2, 32, 112
    for depth, width, group, ratio in zip(*stages, strict=True):
        inner = round(width / ratio)
        for block in range(depth):
            total += before * inner * side**2
            if not block:
                side //= 2
                total += before * width * side**2  # the shortcut
            total += (9 * group * inner + inner * width) * side**2
            before = width
    return total + before * classes


def draws(space: Any, seed: int) -> list[list[str]]:
    """The first nets of the space within the band."""
    draw, found = Random(seed), list[list[str]]()
    while len(found) < DRAWN:
        one = space(draw)
        if one is not None and BAND[0] <= macs(one[1]) <= BAND[1]:
            found.append(one[0])
    return found


@pytest.fixture(scope="module")
def arms() -> dict[str, list[str]]:
    node: Any = OmegaConf.to_container(OmegaConf.load(CONF / "ablation" / "regnet_space.yaml"))
    return node["ablation"]["arms"]


@pytest.mark.parametrize(("space", "name"), [(anynet, "any"), (regnet, "reg")])
def test_the_arms_are_the_first_draws(space: Any, name: str, arms: dict[str, list[str]]):
    expected = {f"{name}-{i + 1}": words for i, words in enumerate(draws(space, seed=0))}
    assert {arm: words for arm, words in arms.items() if arm.startswith(name)} == expected


@pytest.mark.parametrize("arm", ["any-1", "reg-1"])
def test_their_macs_lie_in_the_band(arm: str, arms: dict[str, list[str]]):
    import torch
    from hydra.utils import instantiate

    from cnnlab.config import compose

    node = compose(arms[arm]).cfg.model
    with torch.device("meta"):
        net = instantiate(node)(1000, 3)
    assert BAND[0] <= count(net, (3, 224, 224)).macs <= BAND[1]

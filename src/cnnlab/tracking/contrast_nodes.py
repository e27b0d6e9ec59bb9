"""The `contrasts` of an ablation file, read into weights an arm.

Imports nothing heavy: definitions are read before a config is valid.
"""

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal

from cnnlab.errors import UserError, nearest

SIGNS = ("positive", "negative")


def read_node(
    node: Any, where: str, arms: Collection[str]
) -> tuple[str, dict[str, float], Literal["positive", "negative"], bool]:
    """Name, weights, expected sign, and whether the weights are numbers for a rank correlation.

    Args:
        node: one entry of `ablation.contrasts`, plain.
        where: its key, such as `ablation.contrasts[0]`.
        arms: the names that there are.

    Raises:
        UserError: anything wrong with it, in one line that begins with `where`.
    """
    if not isinstance(node, Mapping):
        raise UserError(f"{where}={node}: {_FORM}")
    keys = ("name", "expect", *_KINDS)
    for key in node:
        if key not in keys:
            raise UserError(f"{where}.{key}: unknown; {_FORM}{nearest(str(key), keys)}")
    name = node.get("name")
    if not isinstance(name, str) or not name.strip():
        raise UserError(f"{where}.name={name}: a name is required")
    expect = node.get("expect")
    if expect not in SIGNS:
        near = nearest(str(expect), SIGNS)
        raise UserError(f"{where}.expect={expect}: positive or negative{near}")
    kinds = [kind for kind in _KINDS if kind in node]
    if len(kinds) != 1:
        raise UserError(f"{where}: {' and '.join(kinds) or 'no weights'} given; {_FORM}")
    kind = kinds[0]
    weights = _KINDS[kind](node[kind], f"{where}.{kind}", arms)
    return name, weights, expect, kind == "rank"


def _two_arms(node: Any, where: str, arms: Collection[str]) -> dict[str, float]:
    names = _names(node, where, arms)
    if len(names) != 2:
        raise UserError(f"{where}={node}: two arms are required, the first less the second")
    return {names[0]: 1.0, names[1]: -1.0}


def _slope(node: Any, where: str, arms: Collection[str]) -> dict[str, float]:
    """Least squares over equal steps: (i - mean i) / sum of (i - mean i)^2."""
    names = _names(node, where, arms)
    if len(names) < 3:
        raise UserError(f"{where}={node}: three arms or more are required, in their order")
    return slope_weights(names)


def slope_weights(names: list[str]) -> dict[str, float]:
    """Weights whose sum is the least-squares slope a step over `names`, at equal distances."""
    middle = (len(names) - 1) / 2
    below = math.fsum((i - middle) ** 2 for i in range(len(names)))
    return {name: (i - middle) / below for i, name in enumerate(names)}


def _difference(node: Any, where: str, arms: Collection[str]) -> dict[str, float]:
    if not isinstance(node, list) or len(node) != 2:
        raise UserError(f"{where}={node}: [[a, b], [c, d]] is required: (a - b) - (c - d)")
    weights: dict[str, float] = {}
    for sign, index in ((1.0, 0), (-1.0, 1)):
        pair = _two_arms(node[index], f"{where}[{index}]", arms)
        for name, weight in pair.items():
            weights[name] = weights.get(name, 0.0) + sign * weight
    if not all(weights.values()):
        raise UserError(f"{where}={node}: an arm cancels out; write arms: [a, b]")
    return weights


def _weights(node: Any, where: str, arms: Collection[str]) -> dict[str, float]:
    weights = _numbers(node, where, arms)
    if not any(weights.values()):
        raise UserError(f"{where}={node}: all weights are 0")
    total = math.fsum(weights.values())
    if abs(total) > 1e-9 * math.fsum(abs(weight) for weight in weights.values()):
        raise UserError(f"{where}={node}: the weights add up to {total:g}; 0 is required")
    return weights


def _rank(node: Any, where: str, arms: Collection[str]) -> dict[str, float]:
    numbers = _numbers(node, where, arms)
    if len(set(numbers.values())) < 3:
        raise UserError(f"{where}={node}: three arms of different numbers are required")
    return numbers


def _numbers(node: Any, where: str, arms: Collection[str]) -> dict[str, float]:
    if not isinstance(node, Mapping):
        raise UserError(f"{where}={node}: a number for each arm is required: {{arm: number}}")
    names = _names(list(node), where, arms)
    for name, number in zip(names, node.values(), strict=True):
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise UserError(f"{where}.{name}={number}: a number is required")
        if not math.isfinite(number):
            raise UserError(f"{where}.{name}={number}: a finite number is required")
    return {name: float(number) for name, number in zip(names, node.values(), strict=True)}


def _names(node: Any, where: str, arms: Collection[str]) -> list[str]:
    """Names of arms, each once; a whole number stands for the arm that is written so."""
    if not isinstance(node, list):
        raise UserError(f"{where}={node}: a list of arms is required")
    for name in node:
        if isinstance(name, bool | float) or name is None:
            # YAML reads off, no, 0.50 and ~ as false, false, 0.5 and null: not what was written.
            raise UserError(f"{where}: YAML reads an arm as {name}; write it in quotes")
        if not isinstance(name, str | int):
            raise UserError(f"{where}={node}: a list of arms is required")
        if str(name) not in arms:
            known = ", ".join(arms)
            raise UserError(f"{where}={name}: arms are {known}{nearest(str(name), arms)}")
    names = [str(name) for name in node]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UserError(f"{where}={node}: {twice[0]} stands there twice")
    return names


_KINDS: dict[str, Callable[[Any, str, Collection[str]], dict[str, float]]] = {
    "arms": _two_arms,
    "slope": _slope,
    "difference": _difference,
    "weights": _weights,
    "rank": _rank,
}
_FORM = "a contrast has name, expect and one of " + ", ".join(_KINDS)

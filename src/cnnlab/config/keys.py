"""Dotted keys of a plain config: which exist, which may be added, which one was meant."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from cnnlab.errors import UserError

OPEN = ("tags", "model.knobs", "data.values", "head.arguments", "callbacks", "logger.wandb")
"""Nodes under which `+` may add keys; everywhere else the set of keys is closed."""

NUMBERED = ("data.values",)
"""Open nodes whose keys are whole numbers."""


def is_open(key: str) -> bool:
    """Whether `key` is an open node or lies under one."""
    return any(key == node or key.startswith(node + ".") for node in OPEN)


def may_delete(key: str) -> bool:
    """Whether `~key` leaves a config that still holds what the program asks for."""
    parent = key.rpartition(".")[0]
    return parent == "logger" or (parent != "" and is_open(parent))


def name_in(node: dict[Any, Any], part: str) -> Any:
    """The key of `node` that is written `part`: YAML reads `3: border` with the number 3."""
    return int(part) if part not in node and part.isdecimal() and int(part) in node else part


def numbered(key: str, value: Any) -> tuple[str, Any]:
    """`data.values.3=border` as `data.values={3: border}`, the only way to write a number."""
    parent, _, name = key.rpartition(".")
    return (parent, {int(name): value}) if parent in NUMBERED and name.isdecimal() else (key, value)


def get(plain: Any, key: str) -> Any:
    """The value at a dotted key.

    Raises:
        KeyError: there is no such key.
    """
    for part in key.split("."):
        if isinstance(plain, list) and part.isdigit() and int(part) < len(plain):
            plain = plain[int(part)]
        elif isinstance(plain, dict) and (name := name_in(plain, part)) in plain:
            plain = plain[name]
        else:
            raise KeyError(key)
    return plain


def exists(plain: Any, key: str) -> bool:
    """Whether there is such a key."""
    try:
        get(plain, key)
    except KeyError:
        return False
    return True


def flat(plain: dict[Any, Any], prefix: str = "") -> Iterator[str]:
    """Every dotted key, nodes before their children; no word leads to names with dots."""
    for name, value in plain.items():
        if "." in str(name):
            continue
        yield f"{prefix}{name}"
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")


def unknown(plain: dict[str, Any], key: str, plus: str = "") -> UserError:
    """The error for a key that is not there: what was meant, else what is there."""
    parent = key.rpartition(".")[0]
    if not plus and is_open(key) and exists(plain, parent) and isinstance(get(plain, parent), dict):
        return UserError(
            f"{key}: no such config key{meant(plain, key)}; new ones take a '+': +{key}"
        )
    why = f" ('+' adds only under {', '.join(OPEN)})" if "+" in plus else ""
    return UserError(f"{plus}{key}: no such config key{why}{meant(plain, key)}")


def meant(plain: dict[str, Any], key: str) -> str:
    """`"; did you mean 'model.groups'?"`, else the keys of the node that was meant."""
    if not key.startswith("hydra."):
        plain = {name: value for name, value in plain.items() if name != "hydra"}
    right = _corrected(plain, key)
    if right and right.count(".") == key.count("."):
        return f"; did you mean '{right}'?"
    last = key.rpartition(".")[2]
    same = [name for name in flat(plain) if name.rpartition(".")[2] == last]
    if same:
        return f"; did you mean '{get_close_matches(key, same, n=1, cutoff=0.0)[0]}'?"
    node = get(plain, right) if right else plain
    there = ", ".join(_names(node))
    if right and not key.startswith(right):
        rest = ".".join(key.split(".")[right.count(".") + 1 :])
        return f", nor is there '{right}.{rest}', if you meant that: {right} has {there}"
    if right:
        return f"; {right} has {there}" if there else f"; {right} is {node}, which has no keys"
    words = {name.rpartition(".")[2]: name for name in flat(plain)}
    close = get_close_matches(key, words, n=1, cutoff=0.7)
    return f"; did you mean '{words[close[0]]}'?" if close else f"; there are {there}"


def _corrected(plain: dict[str, Any], key: str) -> str:
    """`key` with each part replaced by the nearest that is there, up to the first without one."""
    node: Any = plain
    path: list[str] = []
    for part in key.split("."):
        names = _names(node)
        close = [part] if part in names else get_close_matches(part, names, n=1)
        if not close:
            break
        node = get(node, close[0])
        path += close
    return ".".join(path)


def _names(node: Any) -> list[str]:
    names = [str(name) for name in node] if isinstance(node, dict) else []
    return [name for name in names if not name.startswith("_") and "." not in name]

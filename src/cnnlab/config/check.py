"""The check of a composed config before anything heavy is imported."""

import re
from collections.abc import Iterator
from typing import Any

from cnnlab.config import allowed, fit, keys, ranges, schema, source, types
from cnnlab.config.composed import Composed
from cnnlab.config.definitions import Definition, Missing, Refused, Unresolved, find, lookup
from cnnlab.config.plain import to_plain, unresolved
from cnnlab.config.signature import Signature, signature
from cnnlab.errors import UserError, nearest


def check(composed: Composed, *, several: bool = False) -> None:
    """Refuse a config that could not run, or would run something it may not.

    What it may call comes first; then all other faults are gathered: keys, types, ranges, parts
    that do not fit, monitors that nothing logs.

    Args:
        composed: the config.
        several: whether it stands for several runs, and not for one.

    Raises:
        UserError: one line for each fault.
    """
    allowed.refuse_targets(unresolved(composed.cfg), unresolved(composed.hydra))
    plain = to_plain(composed.cfg)
    definitions: dict[str, Definition] = {}
    for key, target in list(allowed.targets(plain)):
        allowed.refuse_target(key, target)
        found = _definition(key, target)
        if found:
            definitions[key.removesuffix("._target_")] = found
    lines = [] if several else list(_only_of_several(composed))
    lines += dict.fromkeys(_faults(plain, composed.choices, definitions))
    written = unresolved(composed.cfg)
    # A fault of `seed` is one of `data.seed: ${seed}` too; the first is where it can be mended.
    own = [line for line in lines if not _is_borrowed(written, line)]
    if lines:
        raise UserError("\n".join(own or lines))


def _only_of_several(composed: Composed) -> Iterator[str]:
    """One line for each word that would mean nothing to a single run."""
    how = "only for several runs: python train.py ablation=NAME, or python train.py -m"
    if composed.cfg.get("ablation") is not None:
        yield f"ablation={composed.choices.get('ablation')}: {how}"
    for word in composed.overrides:
        key = re.split("[.=]", word)[0]
        if key in schema.OF_SEVERAL and key != "ablation":
            yield f"{word}: {how}"


def _is_borrowed(written: dict[str, Any], line: str) -> bool:
    key = re.split("[=:]", line)[0]
    value = keys.get(written, key) if keys.exists(written, key) else None
    return isinstance(value, str) and "${" in value


def _definition(key: str, target: str) -> Definition | None:
    """The definition of a target; None where only an import could tell."""
    try:
        return find(target)
    except Unresolved:
        if allowed.under(target, ("cnnlab",)):
            raise UserError(f"{key}={target}: not found in cnnlab") from None
        return None
    except Missing as error:
        raise UserError(f"{key}={target}: {error}") from None
    except Refused as error:
        raise UserError(f"{key}={target}: not allowed: {error}") from None


def _faults(
    plain: dict[str, Any], choices: dict[str, Any], definitions: dict[str, Definition]
) -> Iterator[str]:
    where = source.module(schema.__name__)
    assert where is not None
    experiment = lookup(where, schema.Experiment.__name__)
    for key in sorted(choices.keys() & plain.keys() - schema.Experiment.__annotations__.keys()):
        file = f"{key}/{choices[key]}.yaml"
        yield f"{key}: no such config key; {file} has to begin with '# @package _global_'"
        plain = {name: value for name, value in plain.items() if name != key}
    yield from types.record_faults("", plain, experiment)
    for key in schema.CALLS:
        if isinstance(plain.get(key), dict) and "_target_" not in plain[key]:
            yield f"{key}: has no _target_"
    for group in schema.CALLS_BY_NAME:
        children = plain.get(group)
        for name, node in children.items() if isinstance(children, dict) else ():
            if isinstance(node, dict) and "_target_" not in node:
                yield f"{group}.{name}: has no _target_"
    for key, node in _calls(plain):
        if key in definitions:
            yield from _call_faults(key, node, definitions[key])
    yield from ranges.faults(plain)
    yield from fit.faults(plain, choices, definitions)


def _calls(node: Any, key: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict) and "_target_" in node:
        yield key, node
    if isinstance(node, dict | list):
        for name, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _calls(value, f"{key}.{name}" if key else str(name))


def _call_faults(key: str, node: dict[str, Any], target: Definition) -> Iterator[str]:
    """Keys that are no argument, arguments of another type, arguments left out."""
    known = signature(target)
    is_ours = target.module.name.partition(".")[0] == "cnnlab"
    settable = known.keyword if is_ours else known.positional | known.keyword
    for name, value in node.items():
        path = f"{key}.{name}"
        if name == "_target_":
            continue
        if name == "_partial_":
            if not isinstance(value, bool):
                yield f"{path}={value}: must be true or false"
        elif str(name).startswith("_"):
            yield f"{path}: not supported; of Hydra's own keys only _target_ and _partial_ are"
        elif name in settable:
            argument = settable[name]
            yield from types.faults(path, value, argument.annotation, argument.module)
        elif is_ours and name in known.positional:
            yield f"{path}: set by the program, not by the config"
        elif not known.is_open:
            there = nearest(str(name), settable) or f"; it has {', '.join(settable) or 'no keys'}"
            yield f"{path}: no such config key of {node['_target_']}{there}"
    for name in _needed(known, is_ours, bool(node.get("_partial_"))):
        if name not in node:
            yield f"{key}.{name}: missing; {node['_target_']} needs it"


def _needed(known: Signature, is_ours: bool, is_partial: bool) -> list[str]:
    """The arguments that only the config can give."""
    candidates = known.keyword if is_ours or is_partial else known.positional | known.keyword
    return [name for name, argument in candidates.items() if argument.required]

"""The check of a composed config before anything heavy is imported."""

from collections.abc import Iterator
from typing import Any

from cnnlab.config import allowed, fit, ranges, schema, source, types
from cnnlab.config.composed import Composed
from cnnlab.config.definitions import Definition, Missing, Refused, Unresolved, find, lookup
from cnnlab.config.plain import to_plain, unresolved
from cnnlab.config.signature import Signature, signature
from cnnlab.errors import UserError, nearest


def check(composed: Composed) -> None:
    """Refuse a config that could not run, or would run something it may not.

    What it may call comes first; then all other faults are gathered: keys, types, ranges, parts
    that do not fit, monitors that nothing logs.

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
    found_faults = list(_faults(plain, composed.choices, definitions))
    if found_faults:
        raise UserError("\n".join(dict.fromkeys(found_faults)))


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
    for key in choices.keys() & plain.keys() - schema.Experiment.__annotations__.keys():
        file = f"{key}/{choices[key]}.yaml"
        yield f"{key}: no such config key; {file} has to begin with '# @package _global_'"
        plain = {name: value for name, value in plain.items() if name != key}
    yield from types.record_faults("", plain, experiment)
    for key in schema.CALLS:
        if isinstance(plain.get(key), dict) and "_target_" not in plain[key]:
            yield f"{key}: has no _target_"
    for group in schema.CALLS_BY_NAME:
        for name, node in (plain.get(group) or {}).items():
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

"""Which runs are the same experiment under several seeds."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from cnnlab.errors import UserError, nearest
from cnnlab.tracking.multirun import key_of
from cnnlab.tracking.naming import NO_PARTS, name, naming_keys, short_names, shown, sortable
from cnnlab.tracking.reading import RunData
from cnnlab.tracking.settings import Settings, Sheaf, buckets, text_of


def group(runs: Iterable[RunData], arms: Sequence[str], by: str | None) -> list[Sheaf]:
    """Runs of one config but for the seed together; those of a multirun by arm and config.

    Of an arm's records those that lack a key (an older cnnlab wrote them) stay with the others,
    unless someone typed it.

    Args:
        runs: those that are compared.
        arms: names in the order in which they are to stand.
        by: a config key, or the last words of one, or a config group: one group a value instead.

    Raises:
        UserError: `by` is no key, or the end of several.
    """
    members = [Settings.of(run) for run in runs]
    if by is not None:
        return _by(members, by)
    sheaves = _by_config(members)
    name(sheaves)
    order = {arm: i for i, arm in enumerate(arms)}
    told = naming_keys(sheaves)

    def place(sheaf: Sheaf) -> tuple[Any, ...]:
        unknown = len(order) + (sheaf.arm is None)
        rank = unknown if sheaf.arm is None else order.get(sheaf.arm, unknown)
        return (rank, *(sortable(sheaf.setting(key)) for key in told), sheaf.name)

    return sorted(sheaves, key=place)


def _by_config(members: Sequence[Settings]) -> list[Sheaf]:
    loose = buckets((m for m in members if m.arm is None), Settings.text)
    sheaves = []
    for of_arm in buckets((m for m in members if m.arm is not None), lambda m: str(m.arm)).values():
        told = _told(of_arm)
        for part in buckets(of_arm, partial(Settings.text, only=told)).values():
            by_hand = [loose.pop(text, []) for text in dict.fromkeys(m.text() for m in part)]
            sheaves.append(Sheaf.of(part[0].arm, [*part, *(m for runs in by_hand for m in runs)]))
    return [*sheaves, *(Sheaf.of(None, part) for part in loose.values())]


def _told(members: Sequence[Settings]) -> set[str]:
    """The keys in which records can differ: each has the key, or a node in place of it, or null.

    `callbacks.ema=null` says something of `callbacks.ema.decay`. A key that was typed for one run
    is not merely unknown of another.
    """
    told = {key_of(word) for member in members for word in member.run.overrides}
    kinds = {frozenset(member.keys) for member in members}
    nodes = {kind: {node for key in kind for node in _nodes(key)} for kind in kinds}
    for key in frozenset().union(*kinds):
        above = _nodes(key)
        if all(key in nodes[kind] or not kind.isdisjoint(above) for kind in kinds):
            told.add(key)
    return told


def _nodes(key: str) -> list[str]:
    """`a.b.c`, `a.b`, `a`."""
    words = key.split(".")
    return [".".join(words[:count]) for count in range(len(words), 0, -1)]


def _by(members: Sequence[Settings], by: str) -> list[Sheaf]:
    key = resolve(by, members)
    # Of a key that some runs lack and of a config group as of any other key.
    parts = buckets(members, lambda m: text_of([m.run.choices.get(key), m.keys.get(key)]))
    sheaves = [Sheaf.of(None, part) for part in parts.values()]
    short = short_names([key], sheaves)[key]
    for sheaf in sheaves:
        value = shown(sheaf.setting(key))
        sheaf.name = f"{short}={value}" if sheaf.has(key) else f"no {short}"
    return sorted(sheaves, key=lambda sheaf: sortable(sheaf.setting(key)))


def resolve(by: str, members: Sequence[Settings]) -> str:
    """The config key or config group that `by` stands for.

    Raises:
        UserError: none, or several.
    """
    keys = {key for member in members for key in member.keys}
    parts = {part for member in members for part in member.run.choices if "/" not in part}
    known = keys | (parts - set(NO_PARTS))
    if by in known:
        return by
    ends = sorted(key for key in known if key.endswith(f".{by}"))
    if len(ends) == 1:
        return ends[0]
    if ends:
        raise UserError(f"--by {by}: could be {', '.join(ends)}; write out which")
    close = {*known, *(key.rpartition(".")[2] for key in keys)}
    unlike = sorted(k for k in keys if len({text_of(m.keys.get(k)) for m in members}) > 1)
    listed = ", ".join(unlike) or "in nothing but their seeds"
    raise UserError(f"--by {by}: no such key{nearest(by, close)} (the runs differ in: {listed})")

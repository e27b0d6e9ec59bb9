"""What tells groups of runs apart, in few and short words."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cnnlab.tracking.multirun import key_of
from cnnlab.tracking.settings import MACHINE, Sheaf, buckets, text_of

NO_PARTS = ("ablation", "callbacks", "debug", "experiment", "local", "logger")
"""Config groups whose files set keys of other groups, or nothing that counts."""
_FIRST = ("model", "head", "loss", "data", "optimizer", "scheduler", "recipe", "task")
"""Parts of the config in the order in which they make good names."""


def unlike_keys(sheaves: Sequence[Sheaf]) -> list[str]:
    """Every key of the config that is not the same in all groups, in the config's order."""
    keys = dict.fromkeys(key for sheaf in sheaves for key in sheaf.keys)
    return [
        key
        for key in keys
        if key not in MACHINE and len({text_of(sheaf.keys.get(key)) for sheaf in sheaves}) > 1
    ]


def differing(sheaves: Sequence[Sheaf]) -> list[str]:
    """The keys in which groups differ, less those that follow from another one.

    What a config group's file sets is named by the group (`model`), the arguments of another class
    by the class (`callbacks.ema._target_`). A key that someone typed stands for itself.
    """
    unlike, typed = unlike_keys(sheaves), _typed(sheaves)
    for part in _parts_chosen(sheaves):
        inside = [k for k in unlike if k.startswith(f"{part}.") and k not in typed]
        explained = [k for k in inside if _follows(sheaves, k, part)]
        if explained:
            unlike[unlike.index(explained[0])] = part
            unlike = [key for key in unlike if key not in explained]
    for target in [key for key in unlike if key.endswith("._target_")]:
        node = target.removesuffix("_target_")
        inside = [k for k in unlike if k.startswith(node) and k != target and k not in typed]
        unlike = [k for k in unlike if k not in inside or not _follows(sheaves, k, target)]
    return unlike


def naming_keys(sheaves: Sequence[Sheaf]) -> list[str]:
    """Few of the keys that differ, enough to tell the groups apart.

    First what was typed, of that first what tells most of them apart, of that first the net.
    """
    typed = _typed(sheaves)

    def rank(key: str) -> tuple[bool, int]:
        part = key.partition(".")[0]
        return key not in typed, _FIRST.index(part) if part in _FIRST else len(_FIRST)

    keys = sorted(differing(sheaves), key=rank)
    told: list[str] = []
    kinds = 1
    for some_keys in ([k for k in keys if k in typed], keys):
        while kinds < len(sheaves) and some_keys:
            counts = {k: _kinds([*told, k], sheaves) for k in some_keys if k not in told}
            best = max(counts, key=lambda k: counts[k], default=None)
            if best is None or counts[best] == kinds:
                break
            told.append(best)
            kinds = counts[best]
    return sorted(told, key=rank)


def _kinds(keys: Sequence[str], sheaves: Sequence[Sheaf]) -> int:
    return len({text_of([sheaf.setting(key) for key in keys]) for sheaf in sheaves})


def name(sheaves: Sequence[Sheaf]) -> None:
    """Give every group the name of its arm, else the words that tell it apart; each once."""
    told = naming_keys(sheaves)
    shorts = short_names(told, sheaves)
    for of_arm in buckets(sheaves, lambda sheaf: sheaf.arm or "").values():
        if of_arm[0].arm is None:
            for sheaf in of_arm:
                sheaf.name = _words(sheaf, shorts) or _files(sheaf)
        elif len(of_arm) == 1:
            of_arm[0].name = str(of_arm[0].arm)
        else:  # an arm of two configs
            apart = short_names(naming_keys(of_arm), sheaves)
            for sheaf in of_arm:
                words = _words(sheaf, apart)
                if not words:  # it lacks what the others have
                    words = f"no {', '.join(apart.values())}"
                sheaf.name = f"{sheaf.arm} ({words})"
    for same in buckets(sheaves, lambda sheaf: sheaf.name).values():
        for number, sheaf in enumerate(same[1:], 2):
            sheaf.name += f" #{number}"


def short_names(keys: Iterable[str], sheaves: Sequence[Sheaf]) -> dict[str, str]:
    """The fewest last words of each key that mean no other key: `groups` for `model.groups`."""
    known = {key for sheaf in sheaves for key in (*sheaf.keys, *sheaf.choices)}
    return {key: _shortest(key, known) for key in keys}


def shown(value: Any) -> str:
    """A setting as it is typed: null, true, 0.1, [1,2]."""
    if isinstance(value, str):
        return value
    return f"{value:g}" if isinstance(value, float) else json.dumps(value, separators=(",", ":"))


def some(names: Sequence[str], most: int = 4) -> str:
    """`a, b, c, d and 3 more`."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def sortable(value: Any) -> tuple[int, float, str]:
    """Puts settings in order: none, numbers by size, then words."""
    if isinstance(value, int | float):
        return 1, float(value), ""
    return (0, 0.0, "") if value is None else (2, 0.0, shown(value))


def _words(sheaf: Sheaf, shorts: Mapping[str, str]) -> str:
    words = shorts.items()
    return " ".join(f"{short}={shown(sheaf.setting(k))}" for k, short in words if sheaf.has(k))


def _files(sheaf: Sheaf) -> str:
    """Of a group that stands alone: `<data>-<model>`, as its folder is called."""
    words = [str(sheaf.choices[part]) for part in ("data", "model") if sheaf.choices.get(part)]
    return "-".join(words) or "all runs"


def _parts_chosen(sheaves: Sequence[Sheaf]) -> list[str]:
    """The config groups of which not all groups of runs have the same file."""
    return [
        part
        for part in dict.fromkeys(part for sheaf in sheaves for part in sheaf.choices)
        if "/" not in part
        and part not in NO_PARTS
        and all(part in sheaf.choices for sheaf in sheaves)
        and len({sheaf.choices[part] for sheaf in sheaves}) > 1
    ]


def _follows(sheaves: Sequence[Sheaf], key: str, part: str) -> bool:
    """Whether groups with the same setting of `part` have the same value of `key`."""
    values: dict[str, set[str]] = defaultdict(set)
    for sheaf in sheaves:
        values[text_of(sheaf.setting(part))].add(text_of(sheaf.keys.get(key)))
    return all(len(kinds) == 1 for kinds in values.values())


def _typed(sheaves: Sequence[Sheaf]) -> set[str]:
    return {key_of(word) for sheaf in sheaves for run in sheaf.runs for word in run.overrides}


def _shortest(key: str, known: set[str]) -> str:
    words = key.split(".")
    for count in range(1, len(words)):
        end = ".".join(words[-count:])
        if not any(k != key and (k == end or k.endswith(f".{end}")) for k in known):
            return end
    return key

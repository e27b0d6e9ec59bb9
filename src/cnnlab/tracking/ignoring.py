"""Keys of the config that are of no account in a comparison: a run's own folder, name or time."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cnnlab.errors import UserError, nearest
from cnnlab.tracking.comparison import Group
from cnnlab.tracking.naming import some
from cnnlab.tracking.reading import RunData
from cnnlab.tracking.settings import Settings, text_of


def without(runs: Sequence[RunData], ignored: Sequence[str]) -> tuple[list[RunData], list[str]]:
    """The runs with a config that lacks some keys, and which these are, written out.

    Args:
        runs: stay as they are.
        ignored: dotted keys, nodes (all below one), or the last words of one key.

    Raises:
        UserError: no run has the key, or the words are the end of several.
    """
    if not ignored:
        return list(runs), []
    leaves = {key for run in runs for key in Settings.of(run).keys}
    known = leaves | {key[:at] for key in leaves for at, sign in enumerate(key) if sign == "."}
    dropped = list(dict.fromkeys(_resolve(word, known) for word in ignored))
    return [replace(run, config=_less(run.config, dropped)) for run in runs], dropped


def own_to_each(groups: Sequence[Group]) -> list[str]:
    """A line where every run of W&B is a group by itself: the keys of which no two agree."""
    runs = [run for g in groups for run in g.runs]
    seeds = {run.seed for run in runs if run.seed is not None}
    if len(groups) < len(runs) or len(seeds) < 2 or any(run.wandb is None for run in runs):
        return []
    configs = [Settings.of(run).keys for run in runs]
    shared = [key for key in configs[0] if all(key in config for config in configs)]
    own = [key for key in shared if len({text_of(c[key]) for c in configs}) == len(configs)]
    if not own:
        return []
    return [
        f"every run is a group by itself; no two agree in {some(own)} (--ignore leaves a key out)"
    ]


def _resolve(word: str, known: Collection[str]) -> str:
    if word in known:
        return word
    ends = sorted(key for key in known if key.endswith(f".{word}"))
    if len(ends) == 1:
        return ends[0]
    if ends:
        raise UserError(f"--ignore {word}: could be {', '.join(ends)}; write out which")
    raise UserError(f"--ignore {word}: no run has such a key{nearest(word, known)}")


def _less(node: Mapping[str, Any], dropped: Collection[str], above: str = "") -> dict[str, Any]:
    left = {}
    for key, value in node.items():
        path = f"{above}{key}"
        if path in dropped:
            continue
        if isinstance(value, Mapping) and value:
            value = _less(value, dropped, f"{path}.")
            if not value:  # all of it was dropped
                continue
        left[key] = value
    return left

"""What makes two runs the same experiment."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

_OUTSIDE = (
    *("logger", "hydra", "runs", "resume", "name", "tags"),
    *("ablation", "jobs", "slurm", "scale", "arms", "hold", "dry", "stale", "keep"),
    *(f"callbacks.{name}" for name in ("monitor", "checkpoint", "progress", "pictures")),
    *("data.root", "data.workers"),
    *(f"trainer.{name}" for name in ("devices", "nodes", "strategy", "log_every", "profiler")),
)
"""Where files lie, who watches and on how many devices; all else may change a result."""


def is_outside(key: str) -> bool:
    """Whether a dotted key, or the node it lies in, changes no result."""
    return any(key == outside or key.startswith(f"{outside}.") for outside in _OUTSIDE)


def identity(config: Mapping[str, Any]) -> str:
    """The sha256 (64 hex digits) of a resolved config, less what changes no result.

    `auto` and null settings of the trainer must have been made definite: precision and the number
    of threads change sums. 1 and 1.0 differ, as they do in trainer.limit_train_batches.
    """
    text = json.dumps(dict(_leaves(config)), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def differences(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The keys inside identity that differ, as `{key: (mine, theirs)}`; a missing key is None."""
    left, right = dict(_leaves(mine)), dict(_leaves(theirs))
    return {
        key: (left.get(key), right.get(key))
        for key in sorted(left.keys() | right.keys())
        if _text(left.get(key)) != _text(right.get(key))
    }


def leaves(config: Mapping[str, Any]) -> dict[str, Any]:
    """The keys inside identity, dotted, and their values."""
    return dict(_leaves(config))


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)  # 1 is not True, and not 1.0


def _leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        path = f"{prefix}{key}"
        if path in _OUTSIDE:
            continue
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{path}.")
        else:
            yield path, value

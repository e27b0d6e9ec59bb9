"""The config of runs as flat keys: of one run, and of a group of them."""

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from cnnlab.tracking.identity import leaves
from cnnlab.tracking.machine_paths import LABEL, label_paths
from cnnlab.tracking.reading import RunData

SEEDS = ("seed", "data.seed", "model.seed")
SEED_NAMES = ("seed", "random_seed", "rng_seed")
"""What other programs call theirs, at any depth."""
MACHINE = ("trainer.threads", "trainer.accelerator", "trainer.channels_last")
"""What `auto` became where a run was made; checked with the hardware, no reason for a group."""

T = TypeVar("T")
Key = int | str
"""What a value of a group belongs to: its seed; for a run without a seed its name."""


@dataclass(frozen=True)
class Settings:
    """A run, and its config less seeds and what identity leaves out."""

    run: RunData
    keys: dict[str, Any]

    @classmethod
    def of(cls, run: RunData) -> "Settings":
        flat = leaves(run.config)
        return cls(run, {key: value for key, value in flat.items() if not _is_seed(key, run)})

    @property
    def arm(self) -> str | None:
        """Of the multirun that the run was a job of."""
        return (self.run.job or {}).get("arm")

    def text(self, only: Collection[str] | None = None) -> str:
        """Equal for runs of equal settings (of the keys `only`), whatever the machine."""
        kept = self.keys if only is None else {k: v for k, v in self.keys.items() if k in only}
        return text_of({k: v for k, v in kept.items() if k not in MACHINE})


@dataclass
class Sheaf:
    """Runs that are one group.

    Attributes:
        arm: of the multirun; None where the runs belong to none.
        keys: of the config; a list of all values where the runs differ.
        choices: the file of each config group; those that the runs do not share are missing.
    """

    name: str
    arm: str | None
    members: list[Settings]
    keys: dict[str, Any]
    choices: dict[str, Any]

    @classmethod
    def of(cls, arm: str | None, members: list[Settings]) -> "Sheaf":
        """`members` as one group, yet without a name."""
        keys: dict[str, Any] = {}
        for key in dict.fromkeys(key for member in members for key in member.keys):
            # A record that lacks the key says nothing of it.
            kinds = {text_of(m.keys[key]): m.keys[key] for m in members if key in m.keys}
            keys[key] = next(iter(kinds.values())) if len(kinds) == 1 else list(kinds.values())
        files = [member.run.choices for member in members]
        shared = {k: v for k, v in files[0].items() if all(k in f and f[k] == v for f in files)}
        return cls("", arm, members, keys, shared)

    @property
    def runs(self) -> list[RunData]:
        return [member.run for member in self.members]

    def setting(self, key: str) -> Any:
        """The value of a config key, or the file chosen of a config group; None: there is none."""
        return self.choices[key] if key in self.choices else self.keys.get(key)

    def has(self, key: str) -> bool:
        """Whether `setting` is more than the lack of one."""
        return key in self.choices or key in self.keys


def alike_in_paths(runs: Sequence[RunData]) -> list[RunData]:
    """The runs; beside collected ones with their paths written as those have them."""
    if not any(_is_collected(run) for run in runs):
        return list(runs)
    return [replace(run, config=label_paths(run.config, run.machine.get("folder"))) for run in runs]


def _is_collected(run: RunData) -> bool:
    if run.machine:
        return False
    return run.wandb is None or LABEL in json.dumps(run.config, default=str)


def seed_of(run: RunData) -> Key | None:
    """`3`; `3 model.seed=1` where another seed does not follow it; None: the run has none."""
    if run.seed is None:
        return None
    own = []
    for key in SEEDS[1:]:
        part, _, name = key.partition(".")
        node = run.config.get(part) if run.choices else None  # else another program's
        value = node.get(name) if isinstance(node, dict) else None
        if value not in (None, run.seed):
            own.append(f"{key}={value}")
    return " ".join([str(run.seed), *own]) if own else run.seed


def text_of(value: Any) -> str:
    """Equal for equal settings; 1 is not True, and not 1.0."""
    if isinstance(value, list | dict):
        return json.dumps(value, sort_keys=True, default=str)
    return repr(value)  # ten times as fast, and most are


def buckets(items: Iterable[T], key: Callable[[T], str]) -> dict[str, list[T]]:
    """`items` by `key`, both in the order of the first."""
    found: dict[str, list[T]] = {}
    for item in items:
        found.setdefault(key(item), []).append(item)
    return found


def _is_seed(key: str, run: RunData) -> bool:
    if run.choices:  # of cnnlab
        return key in SEEDS
    return names_seed(key)


def names_seed(key: str) -> bool:
    """Whether a dotted key of another program's config is a seed."""
    return key.rpartition(".")[2] in SEED_NAMES

"""The words of a command line that stands for several runs, by what each is about."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cnnlab.ablation.definition import seed_faults
from cnnlab.config import schema
from cnnlab.config.compose import lab_folder, loader_of
from cnnlab.config.words import parse
from cnnlab.errors import UserError

if TYPE_CHECKING:
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra.core.override_parser.types import Override

_SINGLE = ("launcher", "sweeper", "sweep")
"""Nodes of Hydra's own config that would launch in another way."""


@dataclass
class Typed:
    """What was typed.

    Attributes:
        flags: where configs lie, as words; every job gets them.
        command: what the multirun itself is told, with the flags: the words for its own config.
        settings: what every job gets, sweeps among them.
        sweeps: those of the settings that have several values.
        varied: their keys, with `+` where it was typed.
        seeds: None where none were typed.
        hold: the parts of `hold` that were typed.
    """

    flags: list[str]
    loader: "ConfigLoaderImpl"
    command: list[str] = field(default_factory=list)
    settings: list[str] = field(default_factory=list)
    sweeps: list[str] = field(default_factory=list)
    varied: list[str] = field(default_factory=list)
    seeds: list[int] | None = None
    hold: set[str] = field(default_factory=set)

    def is_group(self, key: str) -> bool:
        """Whether a key is a config group."""
        return bool(self.loader.repository.group_exists(key))


def read_words(words: list[str]) -> Typed:
    """Sort `words`, as typed after `train.py`.

    Raises:
        UserError: a word that means nothing to several runs; seeds that are no numbers.
    """
    options, overrides = parse(words)
    flags = lab_folder(options)
    if options.config_path or options.config_name:
        flags += [f"--config-path={options.config_path}"] if options.config_path else []
        flags += [f"--config-name={options.config_name}"] if options.config_name else []
    typed = Typed(flags, loader_of(options), list(flags))
    for override in overrides:
        override.config_loader = typed.loader  # glob(*) asks it for the names in a group
        _sort(override, typed)
    return typed


def _sort(override: "Override", typed: Typed) -> None:
    key, word = override.key_or_group, override.input_line or ""
    root = key.split(".")[0].split("/")[0]
    if root == "hydra":
        if any(part in _SINGLE for part in key.replace("/", ".").split(".")):
            raise UserError(f"{word}: cnnlab launches several runs itself; jobs=N at once")
        typed.command.append(word)
    elif root == "resume":
        raise UserError(f"{word}: repeating the command goes on with all of its runs")
    elif key == "seed":
        typed.seeds = _seeds(override)
        typed.command.append(f"seed={typed.seeds[0]}")
    elif key == "arms" and (override.is_sweep_override() or override.value() is not None):
        # Quoted, for an arm may be called 0.5 or 32.
        names = ["'" + name.strip("'\"") + "'" for name in _values(override)]
        typed.command.append(f"arms=[{','.join(names)}]")
    elif root in schema.OF_SEVERAL or key == "name":
        if override.is_sweep_override():
            raise UserError(f"{word}: takes one value")
        if key == "ablation.tune":  # replaces what the file says: its keys are no nodes to merge
            typed.command.append("ablation.tune=null")
        typed.command.append(word)
        typed.hold |= _parts_of_hold(override)
    else:
        typed.settings.append(word)
        if key == "runs":
            typed.command.append(word)
        if override.is_sweep_override():
            typed.sweeps.append(word)
            typed.varied.append(override.get_key_element())


def _parts_of_hold(override: "Override") -> set[str]:
    root, _, part = override.key_or_group.partition(".")
    value: Any = override.value()
    if root != "hold":
        return set()
    return {part} if part else set(value) if isinstance(value, dict) else set()


def _seeds(override: "Override") -> list[int]:
    texts = _values(override)
    for text in texts:
        if not text.strip().isdecimal():
            raise UserError(f"{override.input_line}: seeds are whole numbers: seed=1,2,3")
    seeds = [int(text) for text in texts]
    if lines := list(seed_faults("seed", seeds)):
        raise UserError("\n".join(lines))
    return seeds


def _values(override: "Override") -> list[str]:
    """The values of a sweep, a list or one value, as they are written."""
    if override.is_discrete_sweep():
        return [str(text) for text in override.sweep_string_iterator()]
    if override.is_sweep_override():
        raise UserError(f"{override.input_line}: must be a list of values")
    value = override.value()
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]

"""What composing a command line gives."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omegaconf import DictConfig


@dataclass(frozen=True)
class Composed:
    """One composed config."""

    cfg: "DictConfig"
    """The experiment, in struct mode, without the hydra node; interpolations are unresolved."""
    choices: dict[str, Any]
    """The file each config group was given: a name, several names, or None."""
    overrides: list[str]
    """The words that were typed, `--config-dir=` too, without those to Hydra itself."""
    hydra: Any
    """Hydra's own node, a DictConfig."""

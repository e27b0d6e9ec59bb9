"""Where the config files lie, and what a group there offers."""

from collections.abc import Iterable
from pathlib import Path

CONF = Path(__file__).parents[3] / "conf"
"""The repository's own config folder."""


def choices(names: Iterable[str]) -> list[str]:
    """The names that a person may choose; those that begin with `_` are bases of others."""
    return sorted(name for name in names if not name.startswith("_"))

"""A composed config as plain dicts, lists and scalars."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cnnlab.config.faults import flat
from cnnlab.config.keys import meant
from cnnlab.errors import UserError

if TYPE_CHECKING:
    from omegaconf import DictConfig


def unresolved(cfg: "DictConfig") -> dict[str, Any]:
    """`cfg` with interpolations and `???` as they are written."""
    from omegaconf import OmegaConf

    plain: Any = OmegaConf.to_container(cfg, resolve=False, throw_on_missing=False)
    return plain


def to_plain(cfg: "DictConfig") -> dict[str, Any]:
    """`cfg` with every interpolation resolved.

    Raises:
        UserError: a value that is still `???`; an interpolation to nowhere or in a circle.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

    written = unresolved(cfg)
    leaves = dict(_leaves(written))
    for key, value in leaves.items():
        if value == "???":
            raise UserError(f"{key}: a value is required: {key}=...")
    try:
        plain: Any = OmegaConf.to_container(cfg, resolve=True)
    except OmegaConfBaseException as error:
        key = re.sub(r"\[(\d+)\]", r".\1", error.full_key or "")
        text = flat(error)
        near = ""
        if isinstance(error, InterpolationKeyError):
            near = meant(written, text.split("'")[1])
        raise UserError(f"{key}={leaves.get(key, '')}: {text}{near}") from error
    return plain


def _leaves(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict | list):
        for name, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _leaves(value, f"{prefix}.{name}" if prefix else str(name))
    else:
        yield prefix, node

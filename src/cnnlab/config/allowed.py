"""What a config may call: `_target_` stands under a few names, in every node, at any depth."""

import os
from collections.abc import Iterator
from typing import Any

from cnnlab.errors import UserError

PREFIXES = (
    "cnnlab",
    "timm.optim",
    "timm.scheduler",
    "torch.optim",
    "torch.nn",
    "torchvision.transforms.v2",
    "torchvision.ops",
    "lightning.pytorch.Trainer",
    "lightning.pytorch.callbacks",
    "lightning.pytorch.loggers",
    "lightning.pytorch.strategies",
    "torchmetrics",
    "segmentation_models_pytorch",
)
_PLUGINS = ("hydra_plugins", "hydra._internal.core_plugins")
"""Where Hydra itself looks for launchers and sweepers, and nowhere else."""


def own_packages() -> tuple[str, ...]:
    """Packages written for cnnlab: itself, and those in the environment variable CNNLAB_ALLOW."""
    names = os.environ.get("CNNLAB_ALLOW", "").split(",")
    return ("cnnlab", *(name.strip() for name in names if name.strip()))


def under(name: str, prefixes: tuple[str, ...]) -> bool:
    """Whether `name` is one of `prefixes` or lies below one."""
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


def is_allowed(name: str) -> bool:
    """Whether the allowlist covers a dotted name."""
    return under(name, (*PREFIXES, *own_packages()))


def refuse_target(key: str, target: Any) -> None:
    """Refuse a `_target_` by its name alone.

    Raises:
        UserError: no dotted name, a private part, or outside the allowlist.
    """
    if not isinstance(target, str):
        raise UserError(f"{key}={target}: must be a dotted name")
    parts = target.split(".")
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        raise UserError(f"{key}={target}: must be a dotted name, package.module.Name")
    if any(part.startswith("_") for part in parts):
        raise UserError(f"{key}={target}: private names cannot be called from a config")
    if not is_allowed(target):
        raise UserError(
            f"{key}={target}: not allowed; allowed are names under {', '.join(PREFIXES)}, "
            "and packages in the environment variable CNNLAB_ALLOW"
        )


def refuse_targets(plain: dict[str, Any], hydra: dict[str, Any]) -> None:
    """Refuse every `_target_` that is not allowed, also in lists, also in Hydra's own node.

    A target that is an interpolation passes in `plain`: it is judged again when it is resolved.

    Raises:
        UserError: naming the key.
    """
    for key, target in targets(plain):
        if not (isinstance(target, str) and "${" in target):
            refuse_target(key, target)
    for key, target in targets(hydra, "hydra"):
        if not (isinstance(target, str) and under(target, _PLUGINS)):
            raise UserError(f"{key}={target}: Hydra's own config takes no _target_")
    if hydra.get("callbacks"):
        raise UserError("hydra.callbacks: not supported; cnnlab's own stand under callbacks")


def targets(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """The dotted key and value of each `_target_` in dicts and lists."""
    if isinstance(node, dict | list):
        for name, value in node.items() if isinstance(node, dict) else enumerate(node):
            path = f"{key}.{name}" if key else str(name)
            if name == "_target_":
                yield path, value
            yield from targets(value, path)

"""The keys of a config that belong to no `_target_`.

Read as syntax trees, like the signatures of targets, and never instantiated. A new top-level key is
a line here and one in conf/train.yaml.
"""

from typing import Any, NotRequired, TypedDict


class Recipe(TypedDict):
    """The node `recipe`: what no other node holds."""

    name: str
    label_smoothing: float
    head_width: NotRequired[int]
    """Channels of a detection head."""


class Experiment(TypedDict):
    """The whole config."""

    seed: int
    name: str | None
    tags: dict[str, Any]
    runs: str
    resume: str | None
    recipe: Recipe
    model: dict[str, Any]
    data: dict[str, Any]
    task: dict[str, Any]
    head: dict[str, Any]
    loss: dict[str, Any]
    optimizer: dict[str, Any]
    scheduler: dict[str, Any]
    trainer: dict[str, Any]
    callbacks: dict[str, dict[str, Any] | None] | None
    logger: dict[str, dict[str, Any] | None] | None


CALLS = ("model", "data", "task", "head", "loss", "optimizer", "scheduler", "trainer")
"""Nodes that are a call: they have a `_target_`."""
CALLS_BY_NAME = ("callbacks", "logger")
"""Nodes whose children are calls, or null."""

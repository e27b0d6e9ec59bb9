"""The keys of a config that belong to no `_target_`.

Read as syntax trees, like the signatures of targets, and never instantiated. A new top-level key is
a line here and one in conf/train.yaml.
"""

from typing import Any, Literal, NotRequired, TypedDict


class Recipe(TypedDict):
    """The node `recipe`: what no other node holds."""

    name: str
    label_smoothing: float
    head_width: NotRequired[int]
    """Channels of a detection head."""


class Hold(TypedDict):
    """The node `hold`; an ablation's has no nulls."""

    cost: Literal["params", "macs", "activations", "latency"] | None
    solve: str | None
    tolerance: NotRequired[float]


class Published(TypedDict):
    """Where the published numbers of an ablation stand."""

    table: str
    rows: dict[str, str]
    """Arm: its `setting`, or `model|setting`."""


class Scale(TypedDict):
    """A scale that needs more than words of its own: any of these replaces the ablation's."""

    words: list[str]
    arms: NotRequired[dict[str, list[str]]]
    baseline: NotRequired[str]
    metric: NotRequired[str]
    seeds: NotRequired[list[int]]
    contrasts: NotRequired[list[dict[str, Any]]]
    hold: NotRequired[Hold | None]
    published: NotRequired[Published | None]
    tune: NotRequired[dict[str, list[Any]] | None]
    edf: NotRequired[dict[str, list[str]] | None]


class Ablation(TypedDict):
    """The node `ablation`; docs/ablation_files.md."""

    claim: str
    source: str
    arms: dict[str, list[str]]
    baseline: str
    metric: str
    seeds: list[int]
    contrasts: list[dict[str, Any]]
    hold: NotRequired[Hold | None]
    published: NotRequired[Published | None]
    tune: NotRequired[dict[str, list[Any]] | None]
    edf: NotRequired[dict[str, list[str]] | None]
    scales: dict[str, list[str] | Scale]


class Experiment(TypedDict):
    """The whole config."""

    seed: int
    name: str | None
    tags: dict[str, Any]
    runs: str
    resume: str | None
    tested: Literal["best", "last"]
    ablation: Ablation | None
    jobs: int
    slurm: dict[str, Any] | None
    scale: Literal["small", "paper"]
    arms: str | list[str] | None
    hold: Hold
    dry: bool
    stale: Literal["keep", "rerun"] | None
    keep: Literal["all", "weights", "none"]
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


OF_SEVERAL = ("ablation", "jobs", "slurm", "scale", "arms", "hold", "dry", "stale", "keep")
"""Keys that only several runs have (-m, ablation=NAME); no job sees them."""
CALLS = ("model", "data", "task", "head", "loss", "optimizer", "scheduler", "trainer")
"""Nodes that are a call: they have a `_target_`."""
CALLS_BY_NAME = ("callbacks", "logger")
"""Nodes whose children are calls, or null."""

"""The `ablation` node of a config: what is claimed, what is compared, and what is held equal."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from cnnlab.config import schema, source, types
from cnnlab.config.definitions import lookup
from cnnlab.config.words import parse
from cnnlab.errors import UserError, nearest
from cnnlab.tracking.contrasts import Contrast
from cnnlab.tracking.contrasts import parse as parse_contrast
from cnnlab.tracking.published import check_published

SCALES = ("small", "paper")
METRICS = ("test/", "val/", "cost/", "time/", "train/")
TUNING_SEEDS = (1000,)
"""Under which arms are tuned where `tune` names no seeds; of a run that counts none is so high."""
_SEEDS = 2**32
_NOT_FOR_ARMS = (*schema.OF_SEVERAL, "seed", "name", "runs", "resume", "hydra")
_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*")
"""Of an arm: it names folders."""


@dataclass(frozen=True)
class Hold:
    """What all arms have in common.

    Attributes:
        cost: what is held, at the baseline's value.
        solve: the dotted config key, a whole number, that is solved for it.
        tolerance: the share by which an arm may miss it.
    """

    cost: Literal["params", "macs", "activations", "latency"]
    solve: str
    tolerance: float


@dataclass(frozen=True)
class Published:
    """Where the published numbers stand.

    Attributes:
        table: `table_id` in cnnlab/reference/results.csv.
        rows: arm: its `setting` there, or `model|setting`.
    """

    table: str
    rows: dict[str, str]


@dataclass(frozen=True)
class Ablation:
    """One claim and the runs that put it to the test, at one scale.

    Attributes:
        name: of its file.
        claim: in a sentence.
        source: deck and table, or paper.
        scale: small or paper; what it replaces is replaced.
        arms: the words that make each.
        baseline: the arm that others are held to and compared with.
        metric: the key that decides, such as test/top1.
        seeds: of the runs; all arms share them.
        contrasts: what the claim says of the arms; see `cnnlab.tracking.contrasts`.
        hold: None where the arms cost what they cost.
        published: None where no table has them.
        tune: keys that are searched alike for every arm, and their values; None: nothing is.
        tuning_seeds: under which they are; none of them counts.
        scales: the words of each scale.
        edf: sets of arms by name, whose distributions of errors the report draws; None: none.
    """

    name: str
    claim: str
    source: str
    scale: str
    arms: dict[str, list[str]]
    baseline: str
    metric: str
    seeds: list[int]
    contrasts: list[Contrast]
    hold: Hold | None
    published: Published | None
    tune: dict[str, list[Any]] | None
    tuning_seeds: list[int]
    scales: dict[str, list[str]]
    edf: dict[str, list[str]] | None = None

    def to_plain(self) -> dict[str, Any]:
        """As plain containers, for JSON."""
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Ablation":
        """What `to_plain` gave; keys that it does not know are left aside."""
        known = {name: plain[name] for name in cls.__dataclass_fields__}
        known["contrasts"] = [Contrast(**entry) for entry in known["contrasts"]]
        for name, of in (("hold", Hold), ("published", Published)):
            known[name] = None if known[name] is None else of(**known[name])
        return cls(**known)


def read(name: str, node: Any, scale: str, hold: Mapping[str, Any]) -> Ablation:
    """The ablation that a resolved config node defines.

    Args:
        name: of its file.
        node: `ablation` in the config.
        scale: the one that was asked for.
        hold: the config's node `hold`; its tolerance stands in where the ablation's has none.

    Raises:
        UserError: one line for each mistake, beginning with `ablation.<key>`.
    """
    where = source.module(schema.__name__)
    assert where is not None
    if not isinstance(node, dict):
        raise UserError(
            f"ablation={name}: holds no ablation; its file begins with '# @package _global_' and "
            "has the node 'ablation'"
        )
    node = _less_null_arms(node)
    _refuse(types.record_faults("ablation", node, lookup(where, schema.Ablation.__name__)))
    _refuse(_scale_faults(node["scales"], scale))
    chosen = node["scales"].get(scale, [])
    key = f"ablation.scales.{scale}"
    own = {} if isinstance(chosen, list) else {k: v for k, v in chosen.items() if k != "words"}
    node = {"hold": None, "published": None, "tune": None, "edf": None} | node | own
    keys = {part: f"{key}.{part}" if part in own else f"ablation.{part}" for part in node}
    _refuse(_faults(node, keys))
    held, published, tune = node["hold"], node["published"], dict(node["tune"] or {})
    tuning_seeds = tune.pop("seeds", list(TUNING_SEEDS))
    return Ablation(
        name=name,
        claim=node["claim"],
        source=node["source"],
        scale=scale,
        arms=node["arms"],
        baseline=node["baseline"],
        metric=node["metric"],
        seeds=node["seeds"],
        contrasts=_contrasts(node, keys["contrasts"]),
        hold=Hold(**({"tolerance": hold["tolerance"]} | held)) if held else None,
        published=Published(**published) if published else None,
        tune=tune or None,
        tuning_seeds=tuning_seeds,
        scales={
            of: words if isinstance(words, list) else words["words"]
            for of, words in node["scales"].items()
        },
        edf=node["edf"],
    )


def _less_null_arms(node: dict[str, Any]) -> dict[str, Any]:
    """An arm of another file that is null in this one is none of its arms."""
    arms = node.get("arms")
    if not isinstance(arms, dict):
        return node
    return node | {"arms": {name: words for name, words in arms.items() if words is not None}}


def words_set(words: list[str]) -> list[str]:
    """The dotted keys and groups that `words` set; those of a dict value one by one."""
    _, overrides = parse(words)
    found: list[str] = []
    for override in overrides:
        value = None if override.is_sweep_override() else override.value()
        found += _leaves(override.key_or_group, value)
    return found


def _leaves(key: str, value: Any) -> list[str]:
    if not isinstance(value, dict) or not value:
        return [key]
    return [leaf for name, part in value.items() for leaf in _leaves(f"{key}.{name}", part)]


def _refuse(lines: Iterator[str]) -> None:
    if found := list(lines):
        raise UserError("\n".join(found))


def _scale_faults(scales: dict[str, Any], scale: str) -> Iterator[str]:
    for name, words in scales.items():
        if name not in SCALES:
            yield f"ablation.scales.{name}: must be one of {', '.join(SCALES)}" + nearest(
                str(name), SCALES
            )
        listed = words if isinstance(words, list) else words["words"]
        yield from _word_faults(f"ablation.scales.{name}", listed)
    if scales and scale not in scales:
        yield f"scale={scale}: this ablation has {', '.join(scales)} (ablation.scales)"


def _faults(node: dict[str, Any], keys: dict[str, str]) -> Iterator[str]:
    """What the types of schema.Ablation do not say."""
    arms = node["arms"]
    for part in ("claim", "source"):
        if not node[part].strip():
            yield f"{keys[part]}: is empty"
    if len(arms) < 2:
        yield f"{keys['arms']}: {len(arms)} of them; a comparison needs two at least"
    for name, words in arms.items():
        if not isinstance(name, str):
            yield f"{keys['arms']}: YAML reads an arm as {name}; write it in quotes"
        elif not _NAME.fullmatch(name):
            yield f"{keys['arms']}.{name}: an arm's name has letters, digits and . _ + - only"
        yield from _word_faults(f"{keys['arms']}.{name}", words)
    yield from _arm_faults(keys["baseline"], [node["baseline"]], arms)
    if not node["metric"].startswith(METRICS):
        begin = ", ".join(METRICS)
        yield f"{keys['metric']}={node['metric']}: must begin with one of {begin}"
    yield from seed_faults(keys["seeds"], node["seeds"])
    if not node["contrasts"]:
        yield f"{keys['contrasts']}: none; a verdict belongs to a contrast"
    if node["published"]:
        yield from _published_faults(node["published"], keys["published"], node["metric"], arms)
    yield from _hold_faults(node["hold"], keys["hold"], node["baseline"], arms)
    if node["tune"]:
        yield from _tune_faults(node, keys["tune"])
    if node["edf"] is not None:
        yield from _edf_faults(node["edf"], keys["edf"], arms)


def _tune_faults(node: dict[str, Any], key: str) -> Iterator[str]:
    tune: dict[str, list[Any]] = node["tune"]
    if not node["metric"].startswith(("test/", "val/")):
        yield f"{key}: {node['metric']} has no counterpart on val to choose by"
    seeds = tune.get("seeds", [0])
    if wrong := [seed for seed in seeds if not isinstance(seed, int) or isinstance(seed, bool)]:
        yield f"{key}.seeds={wrong[0]}: must be a whole number"
    else:
        yield from seed_faults(f"{key}.seeds", seeds)
    searched = {name: values for name, values in tune.items() if name != "seeds"}
    if not searched:
        yield f"{key}: no key to search: {{optimizer.lr: [0.05, 0.1]}}"
    for name, values in searched.items():
        if not isinstance(name, str):
            yield f"{key}: YAML reads a key as {name}; keys are dotted, such as optimizer.lr"
            continue
        if not values:
            yield f"{key}.{name}: has no values"
        if twice := [value for i, value in enumerate(values) if value in values[:i]]:
            yield f"{key}.{name}={values}: {twice[0]} stands there twice"
        if name.split(".")[0] in _NOT_FOR_ARMS:
            yield f"{key}.{name}: cannot be set here"
        if node["hold"] and node["hold"]["solve"] == name:
            yield f"{key}.{name}: solved for each arm (hold.solve), so it cannot be tuned"
        if by := [arm for arm, words in node["arms"].items() if name in _readable(words)]:
            yield f"{key}.{name}: set by {', '.join(by)}; what makes an arm cannot be tuned"
    if searched and all(len(values) == 1 for values in searched.values()):
        yield f"{key}: one point, and nothing to choose; two values at least"


def _readable(words: list[str]) -> list[str]:
    """As `words_set`, less the words that `_word_faults` is about."""
    return words_set([word for word in words if not list(_word_faults("", [word]))])


def _arm_faults(key: str, names: Any, arms: Mapping[str, Any]) -> Iterator[str]:
    for name in names:
        if name not in arms:
            near = nearest(str(name), arms)
            yield f"{key}={name}: no such arm{near}; there are {', '.join(arms)}"


def _edf_faults(sets: dict[str, list[str]], key: str, arms: Mapping[str, Any]) -> Iterator[str]:
    if not sets:
        yield f"{key}: no set of arms; null draws no distribution"
    for name, members in sets.items():
        yield from _arm_faults(f"{key}.{name}", members, arms)
        if len(set(members)) < max(2, len(members)):
            yield f"{key}.{name}={members}: a distribution is of two arms or more, each once"


def _published_faults(
    published: dict[str, Any], key: str, metric: str, arms: Mapping[str, Any]
) -> Iterator[str]:
    faults = list(_arm_faults(f"{key}.rows", published["rows"], arms))
    yield from faults
    if not faults:
        try:
            check_published(published, metric, key)
        except UserError as error:
            yield str(error)


def seed_faults(key: str, seeds: list[int]) -> Iterator[str]:
    """One line for each fault of a list of seeds."""
    if not seeds:
        yield f"{key}: none"
    if len(set(seeds)) < len(seeds):
        yield f"{key}={seeds}: one of them stands there twice"
    for seed in seeds:
        if not 0 <= seed < _SEEDS:
            yield f"{key}={seed}: must be at least 0 and at most {_SEEDS - 1}"


def _hold_faults(
    hold: dict[str, Any] | None, key: str, baseline: str, arms: dict[str, list[str]]
) -> Iterator[str]:
    if hold is None:
        return
    for part in ("cost", "solve"):
        if hold[part] is None:
            yield f"{key}.{part}: a value is required"
    for name, words in arms.items():
        if name == baseline:
            continue
        try:
            sets = words_set(words)
        except UserError:  # a word that cannot be read; it is said of the arm
            continue
        if hold["solve"] in sets:
            yield f"{key}.solve={hold['solve']}: arm {name} sets it; only the baseline may"
    if not 0 < hold.get("tolerance", 0.5) < 1:
        yield f"{key}.tolerance={hold['tolerance']}: must be above 0 and below 1"


def _word_faults(key: str, words: list[str]) -> Iterator[str]:
    """What is wrong with the words of an arm or a scale."""
    for word in words:
        try:
            options, overrides = parse([word])
        except UserError as error:
            yield f"{key}: {error}"
            continue
        if not overrides or options.config_dir or options.config_name or options.config_path:
            yield f"{key}: {word}: settings only, KEY=VALUE or GROUP=NAME"
            continue
        root = overrides[0].key_or_group.split(".")[0]
        if overrides[0].is_sweep_override():
            yield f"{key}: {word}: several values are several arms; a list is written [A,B]"
        elif root in _NOT_FOR_ARMS:
            yield f"{key}: {word}: cannot be set here"


def _contrasts(node: dict[str, Any], key: str) -> list[Contrast]:
    found = [
        parse_contrast(entry, list(node["arms"]), f"{key}[{i}]")
        for i, entry in enumerate(node["contrasts"])
    ]
    names = [contrast.name for contrast in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{key}: two have the name {twice[0]}")
    return found

"""What makes a comparison unfair: groups that differ in more than what is asked about."""

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial

from cnnlab.tracking.naming import differing, shown, some
from cnnlab.tracking.reading import RunData
from cnnlab.tracking.settings import Key, Sheaf, text_of

_KINDS = {
    "data": ("data",),
    "recipe": (
        *("recipe", "optimizer", "scheduler", "loss", "callbacks", "trainer.accumulate"),
        *("data.batch_size", "data.augment", "data.sampler"),
    ),
    "length": (
        *("trainer.max_epochs", "trainer.max_steps", "trainer.limit_train_batches"),
        *("trainer.overfit_batches", "data.fraction"),
    ),
    "net": ("model", "head"),
    "precision": ("trainer.precision",),
    "weights": ("model.weights",),
    "tested checkpoint": ("tested",),
}
"""Of a key the longest beginning counts."""
_FILES_SET = {
    "data": ("recipe", "task", "head", "loss", "optimizer", "scheduler", "callbacks", "trainer"),
    "task": ("head", "loss"),
    "head": ("loss",),
    "recipe": (
        *("optimizer", "scheduler", "callbacks", "trainer.max_epochs"),
        *("data.batch_size", "data.augment", "loss.label_smoothing", "head.width"),
    ),
    "recipe.label_smoothing": ("loss.label_smoothing",),
    "recipe.head_width": ("head.width",),
    "experiment": (
        *("model", "data", "recipe", "task", "head", "loss", "optimizer", "scheduler"),
        *("callbacks", "trainer", "tested"),
    ),
}
"""What the files of a config group may set outside of it: the wiring of conf/."""
_NEVER_ALONG = ("length", "precision", "weights")
"""Typed by hand along with something else, such a key is not what the runs are about."""
_SAME_IMAGES = ("data.image_size", "data.mean", "data.std", "data.eval_batch_size")
_SAME_STEPS = (
    *(*_SAME_IMAGES, "data.augment", "trainer.precision"),
    *("callbacks.ema", "callbacks.gradient_clip"),
)
_MAY_STOP_EARLY = ("callbacks", "callbacks.early_stopping", "recipe", "experiment")
_MOST_NAMES, _MOST_KEYS = 4, 4
_PACKAGES = (
    *("torch", "torchvision", "timm", "lightning", "torchmetrics", "segmentation-models-pytorch"),
    *("numpy", "pillow"),
)
"""Of those that a record names, the ones that draw, compute, decode or score."""
_SPLITS = ("train", "val", "test")


def unfair(
    sheaves: Sequence[Sheaf],
    *,
    metric: str,
    timed: bool,
    purpose: Collection[str] | None,
) -> list[str]:
    """A line for each thing in which `sheaves` differ and should not, with the groups' names.

    Args:
        sheaves: of the runs that count; those without any say nothing.
        metric: whose values are compared.
        timed: whether latency, time or memory is.
        purpose: keys that the arms set on purpose; None: what was typed is the question where it
            is of one part of the config, such as two models or two learning rates.
    """
    sheaves = [sheaf for sheaf in sheaves if sheaf.members]
    told: Collection[str] = purpose or ()
    besides: Collection[str] = ()
    if purpose is None:
        told, besides = question(sheaves)
    asked = [
        key
        for key in differing(sheaves)
        if (key in besides or not covered(key, told)) and not _merely_unknown(key, sheaves)
    ]
    lines = _other_images(sheaves, told, declared=purpose is not None)
    for kind in _KINDS:
        lines += _keys_line(kind, [key for key in asked if kind_of(key) == kind], sheaves)
    if not any(kind_of(key) == "length" for key in asked):
        lines += _steps(sheaves, told)
    if not metric.startswith("cost/"):
        lines += _values("tested checkpoint", sheaves, lambda run: run.tested)
    lines += _values("code", sheaves, _commits)
    unknown = [sheaf.name for sheaf in sheaves if any(map(_hides_commit, sheaf.runs))]
    if unknown:
        lines.append(f"code: commit not known in {some(unknown)}")
    dirty = [sheaf.name for sheaf in sheaves if any(map(_is_dirty, sheaf.runs))]
    if dirty:
        lines.append(f"code: files differed from the commit (dirty) in {some(dirty)}")
    for package in _PACKAGES:
        lines += _values(package, sheaves, partial(_version, package=package))
    if timed:
        lines += _values("threads", sheaves, lambda run: _of_environment(run, "threads"))
        lines += _values("jobs at once", sheaves, lambda run: _of_environment(run, "jobs"))
        lines += _values("hardware", sheaves, hardware)
    at_wandb = [(s.name, run) for s in sheaves for run in s.runs if run.wandb is not None]
    for open_, names in (
        (
            "data, code, tested checkpoint and what was set on purpose",
            [n for n, r in at_wandb if not r.identity],
        ),
        ("data and steps", [n for n, r in at_wandb if r.identity]),  # our own mirrors
    ):
        if names:
            named = some(list(dict.fromkeys(names)))
            lines.append(f"no record: {named} known from W&B alone: {open_} cannot be checked")
    return lines


def question(sheaves: Sequence[Sheaf]) -> tuple[frozenset[str], frozenset[str]]:
    """What runs that belong to no multirun are likely to be about; nothing where that is open.

    Returns:
        Keys, and those of the keys in them that are no part of it.
    """
    keys = differing(sheaves)
    typed = {word.partition("=")[0] for s in sheaves for run in s.runs for word in run.overrides}
    asked = [key for key in keys if key in typed] or keys
    several = len({kind_of(key) for key in asked}) > 1
    besides = frozenset(key for key in asked if several and kind_of(key) in _NEVER_ALONG)
    told = frozenset(asked) - besides
    parts = {key.partition(".")[0] for key in told}
    return (told if len(parts) == 1 else frozenset(parts & {"model"})), besides


def covered(key: str, purpose: Collection[str]) -> bool:
    """Whether one of the keys that were set on purpose sets `key`."""
    for own in purpose:
        for start in (own, *_FILES_SET.get(own, ())):
            if key == start or key.startswith(f"{start}."):
                return True
    return False


def kind_of(key: str) -> str | None:
    """Of a config key the kind of difference that it makes; None: a difference as any other."""
    best, kind = -1, None
    for name, starts in _KINDS.items():
        for start in starts:
            if (key == start or key.startswith(f"{start}.")) and len(start) > best:
                best, kind = len(start), name
    return kind


def hardware(run: RunData) -> str | None:
    """`AMD EPYC`, or the GPUs where the run used one; None: not known."""
    environment = run.environment
    gpus = environment.get("gpus") or []
    if gpus and (run.config.get("trainer") or {}).get("accelerator") != "cpu":
        count = environment.get("world_size") or 1
        return f"{count} x {gpus[0]}" if count > 1 else str(gpus[0])
    return environment.get("cpu")


def unequal_seeds(seeds: dict[str, Collection[Key]]) -> list[str]:
    """A line where groups have other seeds than others."""
    return _line("seeds", {name: [ranges(own)] for name, own in seeds.items() if own})


def ranges(seeds: Iterable[Key]) -> str:
    """`0-4, 7, 7 model.seed=1`."""
    seeds = list(seeds)
    parts: list[list[int]] = []
    for seed in sorted(seed for seed in seeds if isinstance(seed, int)):
        if parts and seed == parts[-1][-1] + 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    words = [str(p[0]) if len(p) == 1 else f"{p[0]}-{p[-1]}" for p in parts]
    return ", ".join([*words, *sorted(seed for seed in seeds if isinstance(seed, str))])


def _merely_unknown(key: str, sheaves: Sequence[Sheaf]) -> bool:
    """Whether `key` is one that every run has, and only older records lack."""
    if kind_of(key) in (None, "data", "recipe"):
        return False
    return len({text_of(sheaf.setting(key)) for sheaf in sheaves if sheaf.has(key)}) < 2


def _changes_images(key: str) -> bool:
    is_data = key.partition(".")[0] == "data" and kind_of(key) in ("data", "length")
    return (is_data and key not in _SAME_IMAGES) or key == "experiment"


def _other_images(sheaves: Sequence[Sheaf], told: Collection[str], *, declared: bool) -> list[str]:
    """Equal digests mean the same images and labels; the first words of each split's are shown.

    Runs of one group have the same whatever the question is. Groups may be about other images; yet
    where nobody declared it, they are tested on the same ones.
    """

    def of(run: RunData, splits: Sequence[str]) -> str | None:
        digest, sizes = run.data.get("digest") or {}, run.data.get("sizes") or {}
        if not digest:
            return None
        images = "/".join(str(sizes.get(split)) for split in splits)
        short = "/".join(str(digest.get(split))[:6] for split in splits)
        return f"{run.data.get('name')} ({images} images, digest{'s' * (len(splits) > 1)} {short})"

    if not any(map(_changes_images, told)):
        return _values("data: other images", sheaves, lambda run: of(run, _SPLITS))
    lines = [
        line
        for sheaf in sheaves
        for line in _values("data: other images", [sheaf], lambda run: of(run, _SPLITS))
    ]
    if not declared:
        lines += _values("data: other test images", sheaves, lambda run: of(run, ("test",)))
    return lines


def _steps(sheaves: Sequence[Sheaf], purpose: Collection[str]) -> list[str]:
    """Optimizer steps that were done; early stopping and other sizes of batches change them."""
    if any(key in _MAY_STOP_EARLY for key in purpose):
        return []
    changing = any(map(_changes_steps, purpose))

    def of(run: RunData) -> str | None:
        last = [one.steps[-1] for one in run.history.values() if one.steps]
        return f"{max(last)} steps" if last and run.wandb is None else None

    compared = [[sheaf] for sheaf in sheaves] if changing else [sheaves]
    return [line for some_of_them in compared for line in _values("length", some_of_them, of)]


def _changes_steps(key: str) -> bool:
    changing = key.partition(".")[0] in ("trainer", "data", "callbacks")
    return changing and not covered(key, _SAME_STEPS)


def _commits(run: RunData) -> str | None:
    """`1b9a35d`; of a run that went on under other code all of them."""
    sessions = run.time.get("sessions") or [run.git or {}]
    found = dict.fromkeys(session.get("commit") for session in sessions)
    return ", then ".join(commit[:7] for commit in found if commit) or None


def _hides_commit(run: RunData) -> bool:
    """Whether it cannot be told under which code (a part of) a run of ours was made."""
    sessions = run.time.get("sessions") or [run.git or {}]
    return run.wandb is None and not all(session.get("commit") for session in sessions)


def _is_dirty(run: RunData) -> bool:
    sessions = run.time.get("sessions") or [run.git or {}]
    return any(session.get("dirty") for session in sessions)


def _of_environment(run: RunData, key: str) -> str | None:
    value = run.environment.get(key)
    return None if value is None else f"{value}"


def _version(run: RunData, package: str) -> str | None:
    return (run.environment.get("packages") or {}).get(package)


def _keys_line(kind: str, keys: Sequence[str], sheaves: Sequence[Sheaf]) -> list[str]:
    if not keys:
        return []
    parts = []
    for key in keys[:_MOST_KEYS]:
        held: dict[str, list[str]] = {}
        for sheaf in sheaves:
            word = shown(sheaf.setting(key)) if sheaf.has(key) else "not set"
            held.setdefault(word, []).append(sheaf.name)
        parts.append(f"{key} {_held(held, len(sheaves))}")
    more = f"; and {len(keys) - _MOST_KEYS} more keys" if len(keys) > _MOST_KEYS else ""
    return [f"{kind}: {'; '.join(parts)}{more}"]


def _values(what: str, sheaves: Sequence[Sheaf], of: Callable[[RunData], str | None]) -> list[str]:
    """A line where not all runs agree; None: not known, which differs from nothing."""
    found = {
        sheaf.name: [value for value in dict.fromkeys(map(of, sheaf.runs)) if value is not None]
        for sheaf in sheaves
    }
    return _line(what, found)


def _line(what: str, found: dict[str, list[str]]) -> list[str]:
    held: dict[str, list[str]] = {}
    for name, values in found.items():
        for value in values:
            held.setdefault(value, []).append(name)
    return [f"{what}: {_held(held, len(found))}"] if len(held) > 1 else []


def _held(held: dict[str, list[str]], groups: int) -> str:
    """`0.1 in a, b; 0.2 in c`; the longest list is the others where there are many names."""
    parts = []
    most = max(held, key=lambda value: len(held[value]))
    for value, names in sorted(held.items(), key=lambda item: item[0] == most):
        others = value == most and len(names) > _MOST_NAMES and len(held) > 1
        parts.append(
            f"{value} in {'the others' if others and groups > len(names) else some(names)}"
        )
    return "; ".join(parts)

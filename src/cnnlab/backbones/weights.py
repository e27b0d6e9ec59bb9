"""Weights for a net: find them, put them in, say what became of each tensor."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import timm
import torch
from huggingface_hub import constants
from timm.models import adapt_input_conv
from torch import Tensor, nn

from cnnlab.backbones.weight_files import read
from cnnlab.errors import UserError, nearest

_COUNTER = ".num_batches_tracked"  # BatchNorm's; absent where BatchNorm was frozen


@dataclass(frozen=True)
class LoadReport:
    """What became of each tensor, by timm's names. `str()` is one readable line.

    Attributes:
        source: a file, or timm's name of its weights.
        loaded: tensors of the net that come from the source.
        adapted: those of `loaded` that changed their input channels, and how.
        reinitialised: tensors of the net that do not come from the source, and why; a net with
            such tensors has to be trained before it is tested.
        unused: tensors of the source that this net does not have, such as the classifier of a
            feature extractor.
    """

    source: str
    loaded: list[str]
    adapted: dict[str, str]
    reinitialised: dict[str, str]
    unused: list[str]

    def __str__(self) -> str:
        total = len(self.loaded) + len(self.reinitialised)
        parts = [f"{len(self.loaded)} of {total} tensors loaded"]
        for word, keys in (("adapted", self.adapted), ("re-initialised", self.reinitialised)):
            for why in sorted(set(keys.values())):
                named = _some([key for key in keys if keys[key] == why])
                parts.append(f"{named} {word} ({why})")
        if self.unused:
            parts.append(f"{len(self.unused)} of the source unused: {_some(self.unused)}")
        return f"weights {self.source}: " + "; ".join(parts)


def find(weights: str, name: str, arguments: Mapping[str, Any]) -> tuple[dict[str, Tensor], str]:
    """The tensors, by timm's names, and the source that `model.weights` names.

    Args:
        weights: a file, a run folder (its backbone.safetensors), or `timm` (the hub).
        name: the net, for timm's hub.
        arguments: further arguments of the net, for timm's hub.

    Raises:
        UserError: nothing there, not readable, or no network.
    """
    if weights == "timm":
        return _from_timm(name, arguments)
    path = Path(weights)
    if path.is_dir():
        path = path / "backbone.safetensors"
    if not path.is_file():
        raise UserError(
            f"model.weights={weights}: no such file; give a file of weights, a finished run's "
            f"folder, or timm (its hub){nearest(weights, ['timm'])}"
        )
    return read(path, f"model.weights={weights}"), str(path)


def load(
    net: nn.Module,
    state: Mapping[str, Tensor],
    source: str,
    name: str,
    in_chans: int | None = None,
    reference: nn.Module | None = None,
) -> LoadReport:
    """Put `state` into `net`; all of it, or what the report says.

    A classifier for other classes, or a head that the source does not have, keeps its initial
    values; a stem for other input channels is summed or repeated (timm's `adapt_input_conv`).

    Args:
        net: a net of timm, or its feature extractor.
        state: tensors by timm's names.
        source: for the report.
        name: the net's, for errors.
        in_chans: image channels of `net`.
        reference: for a feature extractor, the classifier that it was made of.

    Raises:
        UserError: any other tensor is missing, unknown or of another shape.
    """
    full: Any = net if reference is None else reference
    cfg = full.pretrained_cfg
    stem = {f"{key}.weight" for key in _names(cfg.get("first_conv"))}
    classifier = tuple(f"{key}." for key in _names(cfg.get("classifier")))
    known = full.state_dict()
    fresh = _after_stages(full)
    if any(key.startswith(fresh) for key in state):
        fresh = classifier
    own = net.state_dict()
    names = {key: key for key in own} if reference is None else timm_names(own, known)

    values: dict[str, Tensor] = {}
    adapted, reinitialised, missing, shapes = {}, {}, [], []
    for key, target in own.items():
        timm_key = names[key]
        value = state.get(timm_key)
        if value is None:
            if timm_key.startswith((*fresh, _AUXILIARY)):
                reinitialised[timm_key] = "not in the source"
            elif timm_key in getattr(full, "starts_at_zero", ()):
                adapted[timm_key] = "zero: the net without it"
            elif not key.endswith(_COUNTER):
                missing.append(timm_key)
            continue
        if value.shape != target.shape:
            if timm_key.startswith((*classifier, _AUXILIARY)):
                reinitialised[timm_key] = f"{value.shape[0]} -> {target.shape[0]} classes"
                continue
            changed = _adapt(value, target, in_chans) if timm_key in stem else None
            if changed is None:
                shapes.append(f"{timm_key} {tuple(value.shape)}, not {tuple(target.shape)}")
                continue
            adapted[timm_key] = f"{value.shape[1]} -> {target.shape[1]} channels"
            value = changed
        values[key] = value
    ignored = (_AUXILIARY,) if not any(key.startswith(_AUXILIARY) for key in known) else ()
    unknown = [
        key
        for key in state
        if key not in known and not key.endswith(_COUNTER) and not key.startswith(ignored)
    ]
    wrong = {"missing": missing, "of another shape": shapes, "unknown": unknown}
    if any(wrong.values()):
        told = "; ".join(
            f"{len(keys)} {word}: {_some(keys)}" for word, keys in wrong.items() if keys
        )
        raise UserError(f"model.weights={source}: not the weights of this {name}; tensors {told}")
    net.load_state_dict(own | values)
    return LoadReport(
        source=source,
        loaded=[names[key] for key in values],
        adapted=adapted,
        reinitialised=reinitialised,
        unused=sorted(set(state) - set(unknown) - {names[key] for key in own}),
    )


_AUXILIARY = "aux."
"""Where a net has its auxiliary heads, which only training runs."""


def timm_names(wrapped: Mapping[str, Tensor], classifier: Mapping[str, Tensor]) -> dict[str, str]:
    """A feature extractor's keys -> the keys of the classifier it was made of.

    timm's wrappers flatten one level (`stem.0` -> `stem_0`) or put the net under `body` or `model`.
    """
    flat = {key.replace(".", "_", 1): key for key in classifier}
    names = {}
    for key in wrapped:
        bare = re.sub(r"^(body|model)\.", "", key)
        names[key] = bare if bare in classifier else flat[bare]
    return names


def in_timm_names(
    name: str, in_chans: int | None, arguments: Mapping[str, Any], state: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The tensors of a feature extractor of `name` under the names its classifier has for them."""
    with torch.device("meta"):
        classifier = timm.create_model(name, in_chans=in_chans, **arguments).state_dict()
    names = timm_names(state, classifier)
    return {names[key]: value for key, value in state.items()}


def _from_timm(name: str, arguments: Mapping[str, Any]) -> tuple[dict[str, Tensor], str]:
    """Load timm's weights at their own classes and channels, where timm loads strictly."""
    if not timm.is_model_pretrained(name):
        raise UserError(f"model.weights=timm: timm has no weights for {name}; give a file or a run")
    try:
        with _cache_if_offline():
            net = timm.create_model(name, pretrained=True, **arguments)
    except Exception as error:  # of any network client, or of load_state_dict
        first = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise UserError(
            f"model.weights=timm: the weights of {name} could not be fetched or do not fit "
            f"({first[0][:200]}); without a network give a file"
        ) from error
    cfg: Any = net.pretrained_cfg
    return net.state_dict(), f"timm's {cfg['architecture']}.{cfg.get('tag') or 'default'}"


@contextmanager
def _cache_if_offline() -> Iterator[None]:
    """Where the hub does not answer, look in its cache only; its client alone retries for 45 s."""
    before = constants.HF_HUB_OFFLINE
    try:
        if not before:
            urlopen(constants.ENDPOINT, timeout=5).close()
    except HTTPError:
        pass  # an answer
    except OSError:
        constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _names(entry: str | tuple[str, ...] | list[str] | None) -> tuple[str, ...]:
    return (entry,) if isinstance(entry, str) else tuple(entry or ())


def _some(keys: list[str]) -> str:
    return ", ".join(keys[:3]) + (", ..." if len(keys) > 3 else "")


def _after_stages(net: Any) -> tuple[str, ...]:
    """Prefixes of what follows the last stage: what a feature extractor does not have."""
    children = [child for child, _ in net.named_children()]
    last = net.feature_info[-1]["module"].split(".")[0]
    if last not in children:  # some of timm's transformers name no child of theirs
        return ()
    return tuple(f"{child}." for child in children[children.index(last) + 1 :])


def _adapt(value: Tensor, target: Tensor, in_chans: int | None) -> Tensor | None:
    """`value` for another number of image channels, or None where only random values would do."""
    if in_chans is None or value.ndim != 4 or target.shape[1] % in_chans:
        return None
    depth = target.shape[1] // in_chans  # > 1 where the stem moves pixels into channels first
    if value.shape[1] % depth or value[:, :1].shape != target[:, :1].shape:
        return None
    try:
        return adapt_input_conv(in_chans, value, base_chans=value.shape[1] // depth)
    except NotImplementedError:  # timm adapts RGB stems only
        return None

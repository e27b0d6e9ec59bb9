"""The one way to a net: build, load, freeze."""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Unpack

import timm
import torch
from torch import nn

from cnnlab.backbones.freezing import freeze as freeze_stages
from cnnlab.backbones.knobs import TIMM_WORDS, Knobs
from cnnlab.backbones.weights import find, in_timm_names, load
from cnnlab.errors import UserError, nearest

_OURS = (
    "num_classes", "in_chans", "features_only", "out_indices", "pretrained", "pretrained_cfg",
    "pretrained_cfg_overlay", "checkpoint_path", "cache_dir", "device", "dtype",
)  # fmt: skip
"""Arguments of timm that `create` itself sets, or that would load weights unseen."""

_FOUR_STAGES = ("layers", "depths", "dims", "kernel_sizes")
"""Knobs of timm's ResNet and ConvNeXt, whose code is written for four stages and does not check."""


def create(
    num_classes: int | None = None,
    in_chans: int | None = None,
    features_only: bool = False,
    out_indices: tuple[int, ...] | None = None,
    *,
    name: str,
    weights: str | None,
    freeze: int,
    seed: int,
    knobs: dict[str, Any],
    **own: Unpack[Knobs],
) -> nn.Module:
    """A net of timm's registry, ours included, as a classifier or a feature extractor.

    The initial weights are a function of `seed` alone; torch's global generator is left as it was.
    A knob that is None is no argument of this net.

    Args:
        num_classes: classes; None: the net's own (1000, or 10 for nets of small images).
        in_chans: image channels; None: the net's own.
        features_only: return maps instead of logits.
        out_indices: the stages whose maps to return; None: the net's own choice.
        name: timm's name, with or without the tag of its weights (`resnet50.a1_in1k`).
        weights: a file, `timm` (its hub), a finished run's folder, or None.
        freeze: so many stages, from the stem on, do not learn (see `freezing.freeze`).
        seed: of the initial weights.
        knobs: further arguments of the net, by its own names.
        own: the knobs of `Knobs` that the net has.

    Returns:
        The net; its `load_report` is a `LoadReport`, or None without weights. A feature extractor
        has `in_timm_names(state)`, which gives its tensors the names of timm's classifier.

    Raises:
        UserError: an unknown net or knob, a value the net refuses, weights that do not fit.
    """
    entry = _entry(name)
    words = TIMM_WORDS if entry.__module__.startswith("timm.") else {}
    given = {key: _plain(value) for key, value in own.items() if value is not None}
    for key in _FOUR_STAGES if words else ():
        if isinstance(given.get(key), list) and len(given[key]) != 4:
            raise UserError(f"model.{key}={given[key]}: must be 4 numbers, one a stage")
    arguments: dict[str, Any] = {words.get(key, key): value for key, value in given.items()}
    keys = {words.get(key, key): f"model.{key}" for key in given}
    for key, value in knobs.items():
        if key in _OURS or key in arguments:
            taken = keys.get(key, "the data and the head" if key in _OURS[:4] else "model.weights")
            raise UserError(f"model.knobs.{key}={value}: this is for {taken} to say")
        arguments[key] = _plain(value)
        keys[key] = f"model.knobs.{key}"
    if "image_size" in arguments:
        side = arguments.pop("image_size")
        # timm hands the size on to nets that have an argument for it.
        arguments["pretrained_cfg_overlay"] = {"input_size": (in_chans or 3, side, side)}
    shape: dict[str, Any] = {"in_chans": in_chans}
    wanted = shape | {"num_classes": num_classes}
    if features_only:
        wanted = shape | {"features_only": True, "out_indices": out_indices}

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        net = _build(name, wanted | arguments, keys)
        net.load_report = None
        if features_only:
            net.in_timm_names = partial(in_timm_names, name, in_chans, arguments)
        if weights is not None:
            state, source = find(weights, name, arguments)
            reference = None
            if features_only:
                with torch.device("meta"):
                    reference = timm.create_model(name, in_chans=in_chans, **arguments)
            net.load_report = load(net, state, source, name, in_chans, reference)
    freeze_stages(net, freeze)
    return net


def _plain(value: Any) -> Any:
    """A config's lists and mappings as the plain ones that nets keep, copy and compare."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value


def _entry(name: str) -> Callable[..., nn.Module]:
    """The function that builds `name`."""
    architecture = name.partition(".")[0]
    if not timm.is_model(architecture):
        names = timm.list_models()
        raise UserError(f"model.name={name}: no such net in timm or here{nearest(name, names)}")
    tags = timm.list_pretrained(f"{architecture}.*")
    if name not in (architecture, *tags):
        raise UserError(f"model.name={name}: no such weights in timm; allowed: {', '.join(tags)}")
    entry: Callable[..., nn.Module] = timm.model_entrypoint(architecture)
    return entry


def _build(name: str, arguments: dict[str, Any], keys: dict[str, str]) -> Any:
    """Call timm's `create_model`, its complaints about knobs turned into one line."""
    try:
        return timm.create_model(name, **arguments)
    except TypeError as error:
        for word in re.findall(r"'(\w+)'", str(error)):
            if word not in keys:
                continue
            if "multiple values" in str(error):
                raise UserError(f"{keys[word]}: the name {name} fixes it") from error
            near = nearest(word, _parameters(name)) if "knobs" in keys[word] else ""
            raise UserError(f"{keys[word]}: {name} has no such argument{near}") from error
        raise
    except (AssertionError, ValueError, AttributeError, IndexError) as error:
        if isinstance(error, UserError) or not (keys and str(error)):
            raise
        told = ", ".join(f"{key}={arguments[word]}" for word, key in keys.items())
        raise UserError(f"{name} refuses {told}: {error}") from error


def _parameters(name: str) -> list[str]:
    """The constructor's arguments that may be knobs."""
    with torch.device("meta"):
        constructor = type(timm.create_model(name)).__init__
    return [word for word in inspect.signature(constructor).parameters if word not in _OURS]

"""Stages that do not learn."""

from collections.abc import Iterator
from typing import Any

import timm.utils
from torch import nn

from cnnlab.errors import UserError


def freeze(net: nn.Module, stages: int) -> None:
    """Freeze all that computes the first `stages` feature maps of `net`.

    A stage ends where `feature_info` has a feature: in ResNet-50 the stem is the first, in
    ConvNeXt and in our nets the stem belongs to the first. BatchNorm becomes an affine map with
    the statistics it has, so `net.train()` does not wake it.

    Raises:
        UserError: more stages than the net has.
    """
    info: Any = net.feature_info
    info = getattr(info, "info", info)  # a feature extractor's is an object
    if not 0 <= stages <= len(info):
        raise UserError(f"model.freeze={stages}: this net has {len(info)} stages")
    if stages:
        timm.utils.freeze(net, list(_up_to(net, info[stages - 1]["module"])))


def _up_to(module: nn.Module, path: str) -> Iterator[str]:
    """Names of the submodules that run up to `path`, itself included."""
    children = [name for name, _ in module.named_children()]
    if len(children) == 1 and children[0] in ("body", "model"):  # timm's wrapper of a whole net
        inner = module.get_submodule(children[0])
        yield from (f"{children[0]}.{name}" for name in _up_to(inner, path))
        return
    first, _, rest = path.partition(".")
    if first not in children:  # timm's wrapper flattens one level: stages.0 -> stages_0
        second, _, rest = rest.partition(".")
        first = f"{first}_{second}"
    for name in children:
        if name != first:
            yield name
            continue
        if rest:
            inner = module.get_submodule(name)
            yield from (f"{name}.{below}" for below in _up_to(inner, rest))
        else:
            yield name
        return

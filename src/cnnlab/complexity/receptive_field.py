"""The receptive field of every tensor of a net, carried through torch's own operators.

Exact for convolution, pooling, slicing, padding and reshaping, and through branches and skips (the
smallest range that holds what the branches see). After interpolation and transposed convolution,
whose elements see windows of different sizes, it is the smallest even bound. Where each element
sees the same (after global pooling, and all that is scaled by it, as in squeeze-and-excitation) it
is the whole input. Elsewhere it is not clipped at the border: the usual figure (Araujo et al. 2019,
doi:10.23915/distill.00021).

A deformable convolution counts as its undeformed grid: offsets are data. An operator without a rule
counts as seeing all of its inputs.
"""

from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from cnnlab.complexity.field import Field
from cnnlab.complexity.field_rules import FRESH, JOINS, POINTWISE, RULES, Args

_SLICES = {"slice", "select"}


class ReceptiveFields(TorchDispatchMode):
    """Within it, `start(image)` and then `net(image)`; afterwards `pixels(tensor)`.

    Works on the meta device; values are never read.
    """

    def __init__(self) -> None:
        super().__init__()
        self._fields = WeakTensorKeyDictionary()
        self._slices = WeakTensorKeyDictionary()  # slice -> (of what, how, dimension, start)
        self._image = (0, 0)

    def start(self, image: Tensor) -> None:
        """Begin at `image` `(B, C, H, W)`, whose pixels are counted."""
        self._image = (image.shape[-2], image.shape[-1])
        self._fields[image] = Field.image(image.shape)

    def pixels(self, tensor: Tensor) -> tuple[int, int]:
        """Height and width of what an element sees; (0, 0) if it does not depend on the image."""
        field = self._fields.get(tensor)
        return (0, 0) if field is None else field.pixels(self._image)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Args | None = None
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        outs = [t for t in tree_leaves(out) if isinstance(t, Tensor)]
        name = func._schema.name.rpartition("::")[2]
        known = any(t in self._fields for t in tensors)
        if outs and name not in FRESH and (known or name in _SLICES):
            schema = func._schema.arguments
            bound: Args = {argument.name: argument.default_value for argument in schema}
            bound |= {a.name: value for a, value in zip(schema, args, strict=False)} | kwargs
            if known:
                pointwise = torch.Tag.pointwise in func.tags or name in POINTWISE
                fields = self._of(name, bound, tensors, outs, pointwise)
                self._fields.update(zip(outs, fields, strict=False))
            self._follow_slices(name, bound, outs[0])
        return out

    def _of(
        self, name: str, args: Args, tensors: list[Tensor], outs: list[Tensor], pointwise: bool
    ) -> list[Field]:
        """The fields of the outputs; empty: they keep what they have."""
        found = [self._fields[t] for t in tensors if t in self._fields]
        new: Field | list[Field] | None
        if name in JOINS:
            new = JOINS[name](self._fields.get, args, outs[0])
            if new is None:
                return []
        elif name in RULES and tensors[0] in self._fields:
            first, *others = found
            new = RULES[name](first, args, outs[0])
            if isinstance(new, Field):  # weights and indices may be made from the image, too
                new = reduce(Field.union, (other.whole(new.shape) for other in others), new)
        elif pointwise:
            new = reduce(Field.union, found).expand(outs[0].shape)
        else:
            new = _all_of(found, outs[0])
        news = new if isinstance(new, list) else [new] * len(outs)
        # Outputs of other shapes: statistics, or a form of the operator that has no rule.
        return [
            field if field.shape == out.shape else _all_of(found, out)
            for field, out in zip(news, outs, strict=True)
        ]

    def _follow_slices(self, name: str, args: Args, out: Tensor) -> None:
        """What is written in place into a slice is in the tensor that was sliced."""
        if name in _SLICES:
            start = args["start"] or 0 if name == "slice" else args["index"]
            self._slices[out] = (args["self"], name, args["dim"], start)
        while name.endswith("_") and out in self._slices and out in self._fields:
            base, how, dim, start = self._slices[out]
            field, dim, size = self._fields[out], dim % base.ndim, base.shape[dim]
            if how == "select":
                field = field.insert(dim)
            back = -(start + size if start < 0 else start)
            field = field.window(dim, back, back, 1, size)
            old = self._fields.get(base)
            self._fields[base] = field if old is None else old.union(field)
            out = base


def _all_of(fields: list[Field], out: Tensor) -> Field:
    return reduce(Field.union, (field.whole(out.shape) for field in fields))

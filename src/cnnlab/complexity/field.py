"""Which pixels each element of a tensor sees, as an affine function of the element's index.

Along each image axis the element with index vector i sees the pixels
`low + sum(stride_d * i_d) .. high + sum(stride_d * i_d)`. A dimension is a row-major product of
factors with a stride each, so flattening (H, W) into tokens and unfolding them again loses nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import floor, prod
from typing import NamedTuple

Number = int | Fraction
Pair = tuple[Number, Number]  # rows, columns
ZERO: Pair = (0, 0)


class Factor(NamedTuple):
    """`size` steps of `stride` pixels (rows, columns)."""

    size: int
    stride: Pair


Dim = tuple[Factor, ...]


@dataclass(frozen=True)
class Field:
    """The pixels from `low` to `high` (both seen) of the element at index 0, and its strides."""

    low: Pair
    high: Pair
    dims: tuple[Dim, ...]

    @classmethod
    def image(cls, shape: Sequence[int]) -> Field:
        """Of an input `(..., H, W)`: every element sees its own pixel."""
        plain = [(Factor(size, ZERO),) for size in shape[:-2]]
        rows, columns = Factor(shape[-2], (1, 0)), Factor(shape[-1], (0, 1))
        return cls(ZERO, ZERO, (*plain, (rows,), (columns,)))

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(prod(factor.size for factor in dim) for dim in self.dims)

    def pixels(self, image: Sequence[int]) -> tuple[int, int]:
        """Height and width seen. Where all elements see the same, not more than the image has."""
        sizes = []
        for axis in (0, 1):
            size = floor(self.high[axis] - self.low[axis]) + 1
            same = all(factor.stride[axis] == 0 for dim in self.dims for factor in dim)
            sizes.append(min(size, image[axis]) if same else size)
        return sizes[0], sizes[1]

    def hull(self, dims: Iterable[int]) -> Field:
        """As if each element saw what all elements along `dims` see."""
        field = self
        for dim in dims:
            for size, stride in self.dims[dim]:
                field = field._spread((0, 0), ((size - 1) * stride[0], (size - 1) * stride[1]))
            field = field.with_dim(dim, (Factor(self.shape[dim], ZERO),))
        return field

    def whole(self, shape: Sequence[int]) -> Field:
        """`shape` elements that each see what all elements of this tensor see."""
        seen = self.hull(range(len(self.dims)))
        return replace(seen, dims=tuple((Factor(size, ZERO),) for size in shape))

    def window(self, dim: int, first: Number, last: Number, step: Number, size: int) -> Field:
        """`size` elements along `dim`; element i sees `i * step + first .. i * step + last`."""
        (_, (rows, columns)), field = self._even(dim)
        field = field._spread((first * rows, first * columns), (last * rows, last * columns))
        return field.with_dim(dim, (Factor(size, (step * rows, step * columns)),))

    def with_dim(self, dim: int, factors: Dim) -> Field:
        """Dimension `dim` replaced."""
        dims = list(self.dims)
        dims[dim] = factors
        return replace(self, dims=tuple(dims))

    def insert(self, dim: int, size: int = 1) -> Field:
        """A new dimension before `dim`, along which nothing changes."""
        dims = list(self.dims)
        dims.insert(dim, (Factor(size, ZERO),))
        return replace(self, dims=tuple(dims))

    def drop(self, dim: int) -> Field:
        """Without dimension `dim`: at its index 0."""
        return replace(self, dims=tuple(d for i, d in enumerate(self.dims) if i != dim))

    def permute(self, order: Sequence[int]) -> Field:
        """Dimensions in another order."""
        return replace(self, dims=tuple(self.dims[i] for i in order))

    def expand(self, shape: Sequence[int]) -> Field:
        """Broadcast to `shape`."""
        field = self._padded(len(shape))
        for dim, size in enumerate(shape):
            if field.shape[dim] == 1 != size:
                field = field.with_dim(dim, (Factor(size, ZERO),))
        return field

    def view(self, shape: Sequence[int]) -> Field:
        """The same elements in row-major order as `shape`; what no factors fit is hulled."""
        if 0 in shape:
            return self.whole(shape)
        # A map may be 1 pixel high: such factors are kept, for the next convolution needs them.
        flat = [f for dim in self.dims for f in dim if f.size > 1 or f.stride != ZERO]
        queue, dims, i = deque(_merge(flat)), list[Dim](), 0
        while i < len(shape):
            ones = []
            while queue and queue[0].size == 1:
                ones.append(queue.popleft())
            if shape[i] == 1:
                slots = 1
                while i + slots < len(shape) and shape[i + slots] == 1:
                    slots += 1
                dims += _share(ones, slots)
                i += slots
                continue
            taken = _take(queue, shape[i])
            if taken is None:
                return self.whole(shape)
            dims.append(_merge([*ones, *taken]))
            i += 1
        if queue and dims:
            dims[-1] = (*dims[-1], *queue)
        return replace(self, dims=tuple(dims))

    def union(self, other: Field) -> Field:
        """What two broadcast operands see together."""
        rank = max(len(self.dims), len(other.dims))
        a, b = self._padded(rank), other._padded(rank)
        dims, odd = [], []
        for i, (x, y) in enumerate(zip(a.dims, b.dims, strict=True)):
            n, m = a.shape[i], b.shape[i]
            if n == m == 1:
                dims.append(max(x, y, key=lambda dim: max(factor.stride for factor in dim)))
                continue
            # One that is broadcast stays where it is while the other moves.
            x, y = (d if size > 1 else (Factor(max(n, m), ZERO),) for d, size in ((x, n), (y, m)))
            dims.append(x if x == y else (Factor(max(n, m), ZERO),))
            if x != y:
                odd.append(i)
        a, b = a.hull(odd), b.hull(odd)
        low = (min(a.low[0], b.low[0]), min(a.low[1], b.low[1]))
        high = (max(a.high[0], b.high[0]), max(a.high[1], b.high[1]))
        return Field(low, high, tuple(dims))

    def _padded(self, rank: int) -> Field:
        new = ((Factor(1, ZERO),),) * (rank - len(self.dims))
        return replace(self, dims=(*new, *self.dims))

    def _spread(self, first: Pair, last: Pair) -> Field:
        """Each element sees what those from `first` to `last` pixels away (in any order) see."""
        low = [at + min(a, b) for at, a, b in zip(self.low, first, last, strict=True)]
        high = [at + max(a, b) for at, a, b in zip(self.high, first, last, strict=True)]
        return replace(self, low=(low[0], low[1]), high=(high[0], high[1]))

    def _even(self, dim: int) -> tuple[Factor, Field]:
        """Dimension `dim` as one factor: what deviates from its even stride is seen by all."""
        *outer, (size, stride) = self.dims[dim]
        field = self
        for n, far in reversed(outer):
            even = (far[0] / Fraction(size), far[1] / Fraction(size))
            slack = [(size - 1) * (a - b) for a, b in zip(stride, even, strict=True)]
            field = field._spread((0, 0), (slack[0], slack[1]))
            size, stride = n * size, even
        return Factor(size, stride), field


def _merge(factors: Iterable[Factor]) -> Dim:
    """Neighbours that together are one even stride become one factor."""
    merged = list[Factor]()
    for factor in factors:
        if merged and merged[-1].size > 1 and factor.size > 1:
            (size, stride), n = merged[-1], factor.size
            if stride == (n * factor.stride[0], n * factor.stride[1]):
                merged[-1] = Factor(size * n, factor.stride)
                continue
        merged.append(factor)
    return tuple(merged)


def _share(ones: list[Factor], slots: int) -> list[Dim]:
    """Factors of size 1 on `slots` dimensions of size 1, aligned to the right."""
    plain = Factor(1, ZERO)
    extra = len(ones) - slots
    if extra > 0:
        return [tuple(ones[: extra + 1]), *((one,) for one in ones[extra + 1 :])]
    return [*((plain,) for _ in range(-extra)), *((one,) for one in ones)]


def _take(queue: deque[Factor], need: int) -> list[Factor] | None:
    """Factors with product `need` from the front of `queue`, split where needed, or None."""
    taken = []
    while need > 1:
        if not queue:
            return None
        size, stride = queue.popleft()
        if need % size == 0:
            taken.append(Factor(size, stride))
            need //= size
        elif size % need == 0:
            inner = size // need
            taken.append(Factor(need, (stride[0] * inner, stride[1] * inner)))
            queue.appendleft(Factor(inner, stride))
            need = 1
        else:
            return None
    return taken

"""What torch's operators do to the fields of their inputs; `receptive_field` applies it."""

from collections.abc import Callable
from fractions import Fraction
from functools import reduce
from typing import Any

from torch import Tensor

from cnnlab.complexity.field import ZERO, Factor, Field

Args = dict[str, Any]
"""All arguments of an operator by the names of its schema."""
Get = Callable[[Tensor], Field | None]
Rule = Callable[[Field, Args, Tensor], Field | list[Field]]
"""(field of the first input, arguments, first output) -> field of the output, or of each output."""
Join = Callable[[Get, Args, Tensor], Field | None]
"""The same for several inputs: their fields are asked for. None: the output keeps its field."""


def _plain(size: int) -> tuple[Factor]:
    return (Factor(size, ZERO),)


# Windows ---------------------------------------------------------------------------------------


def _slide(
    field: Field, out: Tensor, kernel: Any, stride: Any, padding: Any, dilation: Any
) -> Field:
    """Sliding windows over the last dimensions."""
    for i in range(len(kernel)):
        dim = len(field.dims) - len(kernel) + i
        k, s, p, d = (int(v[i % len(v)]) for v in (kernel, stride, padding, dilation))
        field = field.window(dim, -p, (k - 1) * d - p, s, out.shape[dim])
    return field


def _spans(field: Field, dim: int, scale: Fraction, spans: list[tuple[int, int]]) -> Field:
    """Element i along `dim` sees the input elements `spans[i]`, which move by `scale` a step."""
    first = min(low - i * scale for i, (low, _) in enumerate(spans))
    last = max(high - i * scale for i, (_, high) in enumerate(spans))
    return field.window(dim, first, last, scale, len(spans))


def _channels(field: Field, out: Tensor) -> Field:
    """Each output channel sees all input channels (of its group, taken as all)."""
    return field.hull([1]).with_dim(1, _plain(out.shape[1]))


def _convolution(field: Field, args: Args, out: Tensor) -> Field:
    names = ("stride", "padding", "dilation")
    kernel, stride, padding, dilation = args["weight"].shape[2:], *(args[name] for name in names)
    field = _channels(field, out)
    if not args["transposed"]:
        return _slide(field, out, kernel, stride, padding, dilation)
    for i in range(len(kernel)):
        k, s, p, d = (int(v[i % len(v)]) for v in (kernel, stride, padding, dilation))
        # Output o is made of the inputs i with o = i * s - p + j * d for a j in 0 .. k - 1.
        spans = []
        for o in range(out.shape[2 + i]):
            seen = [(o + p - j * d) // s for j in range(k) if (o + p - j * d) % s == 0]
            spans.append((min(seen), max(seen)) if seen else ((o + p) // s,) * 2)
        field = _spans(field, 2 + i, Fraction(1, s), spans)
    return field


def _deform_conv2d(get: Get, args: Args, out: Tensor) -> Field:
    pairs = [(args[f"{name}_h"], args[f"{name}_w"]) for name in ("stride", "pad", "dilation")]
    fields = []
    for name in ("input", "offset", "mask"):
        if (field := get(args[name])) is not None:
            field = _channels(field, out)
            grid = name == "input"
            fields.append(_slide(field, out, args["weight"].shape[2:], *pairs) if grid else field)
    return reduce(Field.union, fields)


def _pool(field: Field, args: Args, out: Tensor) -> Field:
    kernel = args["kernel_size"]
    stride, dilation = args["stride"] or kernel, args.get("dilation", (1,))
    return _slide(field, out, kernel, stride, args["padding"], dilation)


def _adaptive_pool(field: Field, args: Args, out: Tensor) -> Field:
    for dim in range(out.ndim - len(args["output_size"]), out.ndim):
        n, m = field.shape[dim], out.shape[dim]
        spans = [(i * n // m, -(-(i + 1) * n // m) - 1) for i in range(m)]
        field = _spans(field, dim, Fraction(n, m), spans)
    return field


def _interpolate(before: int, after: int) -> Rule:
    """Each output sees `before + 1 + after` inputs around its place, as far as there are any."""

    def rule(field: Field, args: Args, out: Tensor) -> Field:
        for dim in (2, 3):
            n, m = field.shape[dim], out.shape[dim]
            if args.get("align_corners"):
                places = [o * (n - 1) // max(m - 1, 1) for o in range(m)]
            else:  # pixel centres; the nearest pixel is the one that holds the place
                places = [((2 * o + 1) * n - m * (after > 0)) // (2 * m) for o in range(m)]
            spans = [(max(place - before, 0), min(place + after, n - 1)) for place in places]
            if n != m:
                field = _spans(field, dim, Fraction(n, m), spans)
        return field

    return rule


# Reductions, normalisation, products -----------------------------------------------------------


def _reduce(field: Field, args: Args, out: Tensor) -> Field:
    rank = len(field.dims)
    dims = args.get("dim")
    dims = [dims] if isinstance(dims, int) else dims or range(rank)
    dims = sorted({dim % rank for dim in dims}, reverse=True)
    field = field.hull(dims)
    for dim in dims:
        field = field.with_dim(dim, _plain(1)) if args.get("keepdim") else field.drop(dim)
    return field


def _softmax(field: Field, args: Args, out: Tensor) -> Field:
    return field.hull([args["dim"] % out.ndim])


def _layer_norm(field: Field, args: Args, out: Tensor) -> Field:
    return field.hull(range(out.ndim - len(args["normalized_shape"]), out.ndim))


def _group_norm(field: Field, args: Args, out: Tensor) -> Field:
    return field.hull(range(1, out.ndim))


def _batch_norm(field: Field, args: Args, out: Tensor) -> Field:
    return field.hull(dim for dim in range(out.ndim) if args["training"] and dim != 1)


def _matmul(left: str, right: str) -> Join:
    """(..., I, K) x (..., K, J): element (i, j) sees row i of one and column j of the other."""

    def rule(get: Get, args: Args, out: Tensor) -> Field:
        fields, last = [], out.ndim - 1
        if (rows := get(args[left])) is not None:
            fields.append(rows.hull([last]).with_dim(last, _plain(out.shape[-1])))
        if (columns := get(args[right])) is not None:
            fields.append(columns.hull([last - 1]).with_dim(last - 1, _plain(out.shape[-2])))
        if left != "self" and (added := get(args["self"])) is not None:
            fields.append(added)
        return reduce(Field.union, fields)

    return rule


def _cat(get: Get, args: Args, out: Tensor) -> Field:
    dim = args["dim"] % out.ndim
    fields = [field for tensor in args["tensors"] if (field := get(tensor)) is not None]
    size = _plain(out.shape[dim])
    return reduce(Field.union, (field.hull([dim]).with_dim(dim, size) for field in fields))


def _stack(get: Get, args: Args, out: Tensor) -> Field:
    dim = args["dim"] % out.ndim
    fields = [field for tensor in args["tensors"] if (field := get(tensor)) is not None]
    return reduce(Field.union, (field.insert(dim, out.shape[dim]) for field in fields))


def _copy(get: Get, args: Args, out: Tensor) -> Field | None:
    source = get(args["src"])
    return None if source is None else source.expand(out.shape)


# Views -----------------------------------------------------------------------------------------


def _slice(field: Field, args: Args, out: Tensor) -> Field:
    dim, step = args["dim"] % out.ndim, args["step"]
    start = slice(args["start"], args["end"], step).indices(field.shape[dim])[0]
    return field.window(dim, start, start, step, out.shape[dim])


def _select(field: Field, args: Args, out: Tensor) -> Field:
    dim = args["dim"] % len(field.dims)
    start = args["index"] % field.shape[dim]
    return field.window(dim, start, start, 1, 1).drop(dim)


def _split(field: Field, args: Args, out: Tensor) -> list[Field]:
    dim = args["dim"] % out.ndim
    n, each = field.shape[dim], args.get("split_size") or 1
    sizes = args.get("split_sizes") or [min(each, n - i) for i in range(0, n, each)]
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return [field.window(dim, i, i, 1, m) for i, m in zip(starts, sizes, strict=True)]


def _unbind(field: Field, args: Args, out: Tensor) -> list[Field]:
    dim = args["dim"] % len(field.dims)
    return [field.window(dim, i, i, 1, 1).drop(dim) for i in range(field.shape[dim])]


def _pad(field: Field, args: Args, out: Tensor) -> Field:
    before = (args["pad"] if "pad" in args else args["padding"])[::2]  # last dimension first
    for dim, size in zip(range(out.ndim - 1, -1, -1), before, strict=False):
        field = field.window(dim, -size, -size, 1, out.shape[dim])
    return field


def _view(field: Field, args: Args, out: Tensor) -> Field:
    return field.view(out.shape)


def _transpose(field: Field, args: Args, out: Tensor) -> Field:
    order = list(range(out.ndim))
    i, j = args.get("dim0", 0), args.get("dim1", -1)
    order[i], order[j] = order[j], order[i]
    return field.permute(order)


def _permute(field: Field, args: Args, out: Tensor) -> Field:
    return field.permute([dim % out.ndim for dim in args["dims"]])


def _expand(field: Field, args: Args, out: Tensor) -> Field:
    return field.expand(out.shape)


def _unsqueeze(field: Field, args: Args, out: Tensor) -> Field:
    return field.insert(args["dim"] % out.ndim)


def _squeeze(field: Field, args: Args, out: Tensor) -> Field:
    rank = len(field.dims)
    dims = args.get("dim", range(rank))
    dims = {dim % rank for dim in ([dims] if isinstance(dims, int) else dims)}
    for dim in sorted(dims, reverse=True):
        if field.shape[dim] == 1:
            field = field.drop(dim)
    return field


def _pixel_shuffle(field: Field, args: Args, out: Tensor) -> Field:
    r, (b, c, h, w) = args["upscale_factor"], out.shape
    field = field.view((b, c, r, r, h // r, w // r)).permute((0, 1, 4, 2, 5, 3))
    return field.view(out.shape)


def _pixel_unshuffle(field: Field, args: Args, out: Tensor) -> Field:
    r, (b, c, h, w) = args["downscale_factor"], out.shape
    field = field.view((b, c // (r * r), h, r, w, r)).permute((0, 1, 3, 5, 2, 4))
    return field.view(out.shape)


FRESH = {"zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like"}
FRESH |= {"new_zeros", "new_ones", "new_empty", "new_full", "new_empty_strided"}
"""Their outputs have the shape of their input, but not its values."""

POINTWISE = {"_to_copy", "detach", "alias", "lift_fresh", "hardswish", "hardswish_", "rsub"}
POINTWISE |= {"_prelu_kernel", "masked_fill", "masked_fill_", "native_channel_shuffle"}
POINTWISE |= {"_native_batch_norm_legit_no_training", "as_strided_"}  # the latter: memory format
"""Element by element, though torch does not tag them so."""

JOINS: dict[str, Join] = {
    "mm": _matmul("self", "mat2"),
    "bmm": _matmul("self", "mat2"),
    "addmm": _matmul("mat1", "mat2"),
    "baddbmm": _matmul("batch1", "batch2"),
    "cat": _cat,
    "stack": _stack,
    "copy_": _copy,
    "deform_conv2d": _deform_conv2d,
}

RULES: dict[str, Rule] = {
    "convolution": _convolution,
    "_convolution": _convolution,
    **dict.fromkeys(("avg_pool2d", "avg_pool3d", "max_pool2d_with_indices"), _pool),
    **dict.fromkeys(("_adaptive_avg_pool2d", "adaptive_max_pool2d"), _adaptive_pool),
    **dict.fromkeys(("upsample_nearest2d", "_upsample_nearest_exact2d"), _interpolate(0, 0)),
    "upsample_bilinear2d": _interpolate(0, 1),
    "upsample_bicubic2d": _interpolate(1, 2),
    **dict.fromkeys(("mean", "sum", "amax", "amin", "max", "var", "std", "var_mean"), _reduce),
    "linalg_vector_norm": _reduce,
    **dict.fromkeys(("_softmax", "_log_softmax", "_safe_softmax"), _softmax),
    "native_layer_norm": _layer_norm,
    "native_group_norm": _group_norm,
    **dict.fromkeys(("native_batch_norm", "_native_batch_norm_legit"), _batch_norm),
    "slice": _slice,
    "select": _select,
    **dict.fromkeys(("split", "split_with_sizes", "unsafe_split"), _split),
    "unbind": _unbind,
    **dict.fromkeys(("constant_pad_nd", "reflection_pad2d", "replication_pad2d"), _pad),
    **dict.fromkeys(("view", "_unsafe_view"), _view),
    **dict.fromkeys(("transpose", "t"), _transpose),
    "permute": _permute,
    "expand": _expand,
    "unsqueeze": _unsqueeze,
    "squeeze": _squeeze,
    "pixel_shuffle": _pixel_shuffle,
    "pixel_unshuffle": _pixel_unshuffle,
}

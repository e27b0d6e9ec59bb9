"""Parameters, multiply-adds and memory of layers.

`height` and `width` are those of the output; where a layer keeps its size, of the input too.
"""

from collections.abc import Iterable
from math import prod

BITS = 32  # of a float


def conv_params(c_in: int, c_out: int, kernel: int, groups: int = 1, bias: bool = True) -> int:
    """F03: K (L L C + 1); with groups each filter sees C / groups channels."""
    return prod(conv_weight(c_in, c_out, kernel, groups)) + (c_out if bias else 0)


def conv_weight(c_in: int, c_out: int, kernel: int, groups: int = 1) -> tuple[int, int, int, int]:
    """F08: shape of the weight, (C_out, C_in / groups, K, K)."""
    return c_out, c_in // groups, kernel, kernel


def conv_macs(
    c_in: int, c_out: int, kernel: int, height: int, width: int, groups: int = 1, batch: int = 1
) -> int:
    """F04, F05 (batch), F08 (groups): C_out C_in K^2 H' W' / groups, of each image."""
    return batch * conv_params(c_in, c_out, kernel, groups, bias=False) * height * width


def conv_storage_bits(
    c_in: int, c_out: int, kernel: int, height: int, width: int, batch: int = 1
) -> int:
    """F06, F07 (batch): weights once, input and output of each image, 32 bits each."""
    weights = conv_params(c_in, c_out, kernel, bias=False)
    return BITS * (weights + batch * (c_in + c_out) * height * width)


def separable_macs(
    c_in: int, c_out: int, kernel: int, height: int, width: int, batch: int = 1
) -> int:
    """F09, F12 (batch): depthwise K^2 C E F, then pointwise M C E F."""
    depthwise = conv_macs(c_in, c_in, kernel, height, width, groups=c_in, batch=batch)
    return depthwise + conv_macs(c_in, c_out, 1, height, width, batch=batch)


def separable_ratio(c_out: int, kernel: int) -> float:
    """F10: multiply-adds of a separable convolution over those of a plain one, 1/N + 1/k^2."""
    return 1 / c_out + 1 / kernel**2


def separable_storage_bits(
    c_in: int, c_out: int, kernel: int, height: int, width: int, batch: int = 1
) -> int:
    """F11, F12 (batch): the map between the two convolutions is stored too.

    More than F06 at usual sizes: fewer multiply-adds, more bytes.
    """
    weights = kernel**2 * c_in + c_out * c_in
    return BITS * (weights + batch * (2 * c_in + c_out) * height * width)


def offset_params(c_in: int, kernel: int = 3, offset_groups: int = 1) -> int:
    """F26: the convolution that gives a deformable one its offsets, with bias."""
    return conv_params(c_in, 2 * kernel**2 * offset_groups, kernel)


def offset_macs(c_in: int, height: int, width: int, kernel: int = 3, offset_groups: int = 1) -> int:
    """F26: its multiply-adds."""
    return conv_macs(c_in, 2 * kernel**2 * offset_groups, kernel, height, width)


def se_params(channels: int, reduction: int, bias: bool = False) -> int:
    """F33: squeeze-and-excitation, two layers C -> C / r -> C."""
    squeezed = channels // reduction
    return 2 * channels * squeezed + (squeezed + channels if bias else 0)


def linear_params(inputs: int, outputs: int) -> int:
    """F39: a matrix between all values of two images; 2 operations each."""
    return inputs * outputs


def years(operations: float, per_second: float) -> float:
    """F39: of 365 days."""
    return operations / per_second / (365 * 24 * 3600)


def stacked_stem_params(frames: int, c_out: int, kernel: int, channels: int = 3) -> int:
    """F52: a stem, without bias, over `frames` images stacked along the channels."""
    return conv_params(frames * channels, c_out, kernel, bias=False)


def values(shapes: Iterable[tuple[int, ...]]) -> int:
    """F40, F41: elements of all maps (AlexNet's units, VGG's activations)."""
    return sum(prod(shape) for shape in shapes)


def pool_operations(channels: int, kernel: int, height: int, width: int) -> int:
    """F42: one for each element that a window reads; no MACs in our counter."""
    return channels * kernel**2 * height * width


def chain_macs(c_in: int, convs: Iterable[tuple[int, int, int]]) -> int:
    """F42, F43: of convolutions (C_out, kernel, side of the output) in a row."""
    macs = 0
    for c_out, kernel, side in convs:
        macs += conv_macs(c_in, c_out, kernel, side, side)
        c_in = c_out
    return macs


def model_bytes(params: float, bits: int = BITS) -> float:
    """F50: 4 bytes a parameter, or fewer."""
    return params * bits / 8


def compression_ratio(original: float, compressed: float) -> float:
    """F51: how many times smaller."""
    return original / compressed

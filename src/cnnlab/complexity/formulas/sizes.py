"""Output sizes and receptive fields, along one side."""

from collections.abc import Iterable


def conv_output(
    size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1
) -> int:
    """F01: floor((W - F + 2P) / S) + 1, where a dilated kernel is F = dilation (kernel - 1) + 1."""
    reach = dilation * (kernel - 1) + 1
    return (size - reach + 2 * padding) // stride + 1


def pool_output(
    size: int, kernel: int, stride: int, padding: int = 0, ceil_mode: bool = False
) -> int:
    """F02: as F01; in ceil mode a last window that begins inside of the padded map counts too."""
    output = conv_output(size, kernel, stride, padding)
    begins = output * stride
    inside = begins < size + padding
    whole = (size - kernel + 2 * padding) % stride == 0
    return output + (ceil_mode and inside and not whole)


def transposed_output(size: int, kernel: int, stride: int, padding: int = 0) -> int:
    """F24: (W - 1) S - 2P + F."""
    return (size - 1) * stride - 2 * padding + kernel


def receptive_field(layers: Iterable[tuple[int, int]]) -> int:
    """F13, F14: of a chain of (kernel, stride), r + (kernel - 1) * (product of strides before)."""
    field = jump = 1
    for kernel, stride in layers:
        field += (kernel - 1) * jump
        jump *= stride
    return field

"""Operators written out on lists, one channel at a time, as the decks draw them."""

from collections.abc import Sequence
from math import erf, exp, floor, pi, sqrt, tanh

Grid = Sequence[Sequence[float]]


def cross_correlate(image: Grid, kernel: Grid, padding: int = 0) -> list[list[float]]:
    """F45 to F48: what libraries call convolution; the kernel is not flipped.

    So a kernel whose 1 is left of the middle moves the content to the right.
    """
    taps = len(kernel) * len(kernel[0])
    rows = len(image) + 2 * padding - len(kernel) + 1
    columns = len(image[0]) + 2 * padding - len(kernel[0]) + 1
    still = [[[(0.0, 0.0)] * taps] * columns] * rows
    return deformable(image, kernel, still, padding)


def deformable(
    image: Grid,
    kernel: Grid,
    offsets: Sequence[Sequence[Sequence[tuple[float, float]]]],
    padding: int = 0,
) -> list[list[float]]:
    """F25: y(p0) = sum of w(pn) x(p0 + pn + dpn), x bilinear between pixels and 0 outside.

    Args:
        image: one channel.
        kernel: one filter.
        offsets: at each output, of each tap in reading order, (dy, dx).
        padding: zeros around the image.
    """
    wide = len(kernel[0])
    flat = [weight for row in kernel for weight in row]
    return [
        [
            sum(
                weight * bilinear(image, y - padding + i // wide + dy, x - padding + i % wide + dx)
                for i, (weight, (dy, dx)) in enumerate(zip(flat, taps, strict=True))
            )
            for x, taps in enumerate(row)
        ]
        for y, row in enumerate(offsets)
    ]


def bilinear(image: Grid, y: float, x: float) -> float:
    """F25: sum of G(q, p) x(q), G = max(0, 1 - |qy - py|) max(0, 1 - |qx - px|)."""
    value = 0.0
    for row in (floor(y), floor(y) + 1):
        for column in (floor(x), floor(x) + 1):
            if 0 <= row < len(image) and 0 <= column < len(image[0]):
                weight = max(0.0, 1 - abs(row - y)) * max(0.0, 1 - abs(column - x))
                value += weight * image[row][column]
    return value


def max_pool(image: Grid, kernel: int, stride: int) -> list[list[float]]:
    """F44: the largest of each window, no padding."""
    return [
        [
            max(image[y + i][x + j] for i in range(kernel) for j in range(kernel))
            for x in range(0, len(image[0]) - kernel + 1, stride)
        ]
        for y in range(0, len(image) - kernel + 1, stride)
    ]


def batch_norm(
    x: Sequence[float], alpha: float = 1.0, beta: float = 0.0, eps: float = 0.0
) -> list[float]:
    """F18: one channel, alpha (x - mu) / sigma + beta, with the biased variance."""
    mean = sum(x) / len(x)
    sigma = sqrt(sum((value - mean) ** 2 for value in x) / len(x) + eps)
    return [alpha * (value - mean) / sigma + beta for value in x]


def fold_batch_norm(
    weight: float, bias: float, mean: float, variance: float, alpha: float, beta: float
) -> tuple[float, float]:
    """F19: p = alpha / sigma and q = beta - p mu; p w and p b + q."""
    p = alpha / sqrt(variance)
    q = beta - p * mean
    return p * weight, p * bias + q


def gelu(x: float) -> float:
    """F20: x Phi(x)."""
    return x * (1 + erf(x / sqrt(2))) / 2


def gelu_tanh(x: float) -> float:
    """F20: the approximation."""
    return 0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))


def silu(x: float) -> float:
    """F21: x sigmoid(x)."""
    return x / (1 + exp(-x))


def channel_shuffle(channels: Sequence[int], groups: int) -> list[int]:
    """F27: as a (groups, n) table, read by columns."""
    per_group = len(channels) // groups
    return [channels[g * per_group + i] for i in range(per_group) for g in range(groups)]


def residual_gradient(weight: float, slope: float) -> float:
    """F28: of y = x + s(w x), 1 + s'(w x) w; `slope` is s'(w x)."""
    return 1 + slope * weight


def local_response_norm(
    channels: Sequence[float],
    index: int,
    k: float = 2.0,
    n: int = 5,
    alpha: float = 1e-4,
    beta: float = 0.75,
) -> float:
    """F49: AlexNet's, a / (k + alpha sum of a^2 over n channels)^beta.

    torch.nn.LocalResponseNorm divides alpha by n: give it 5e-4 for the paper's 1e-4.
    """
    near = channels[max(0, index - n // 2) : index + n // 2 + 1]
    return float(channels[index] / (k + alpha * sum(a**2 for a in near)) ** beta)

"""Binary cross-entropy: a sigmoid a class."""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from cnnlab.losses.class_weights import class_weights as weights_for


class BinaryCrossEntropy(nn.Module):
    """`-w_c [q_c log s_c + (1 - q_c) log(1 - s_c)]` with `s = sigmoid(logits)`.

    The mean over (B, K). For several labels an image, or as a classifier's loss with class ids as
    one-hot targets (Wightman et al. 2021, arXiv:2110.00476). Label smoothing e makes the target t
    into `q_c = (1 - e) t_c + e / K`, as there (and in timm).

    logits `(B, K)`; targets int64 `(B,)` or float `(B, K)`; returns a scalar.
    """

    tasks = ("classification", "multilabel")
    weight: Tensor | None

    def __init__(
        self,
        class_counts: Sequence[int] | None = None,
        *,
        label_smoothing: float,
        class_weights: Literal["balanced", "effective"] | list[float] | None,
    ) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing
        self.register_buffer("weight", weights_for(class_weights, class_counts), persistent=False)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        classes = logits.shape[1]
        if targets.ndim == 1:
            targets = F.one_hot(targets, classes)
        smoothed = (1 - self.label_smoothing) * targets + self.label_smoothing / classes
        return F.binary_cross_entropy_with_logits(logits.float(), smoothed.float(), self.weight)

"""Cross-entropy with a softmax over the classes."""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from cnnlab.losses.class_weights import class_weights as weights_for
from cnnlab.losses.regions import two_classes
from cnnlab.pixels import IGNORE, mean_over_pixels


class CrossEntropy(nn.Module):
    """`-sum_c w_c q_c log p_c` with `p = softmax(logits)`.

    q is the target after label smoothing e: `q_c = (1 - e) t_c + e / K` (Szegedy et al. 2016), t
    one-hot or, after mixup, the shares of the mixed classes. The mean over the batch: of class ids
    weighted by `w_y`, of shares plain (torch's definitions for the two). Of masks it is the mean
    over the pixels that count, and 0 where none does (torch: NaN).

    logits `(B, K)`; targets int64 `(B,)` or float `(B, K)`; returns a scalar. Or logits
    `(B, K, H, W)`, `(B, 1, H, W)` for two classes; targets int64 `(B, H, W)`, 255 = ignore.
    """

    tasks = ("classification", "segmentation")
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

    @property
    def mean_weight(self) -> Tensor | None:
        """The weight `(K,)` by which the mean over class ids divides; None: each image counts 1."""
        return self.weight

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        if logits.ndim == 2:
            return F.cross_entropy(
                logits.float(), targets, self.weight, label_smoothing=self.label_smoothing
            )
        losses = F.cross_entropy(
            two_classes(logits),
            targets,
            self.weight,
            ignore_index=IGNORE,
            reduction="none",
            label_smoothing=self.label_smoothing,
        )
        return mean_over_pixels(losses, targets, self.weight)

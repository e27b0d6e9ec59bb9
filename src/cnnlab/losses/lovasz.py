"""Lovasz-softmax loss: the Jaccard index, made continuous by its Lovasz extension."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cnnlab.losses.regions import Absent, mean_over_classes, soft_and_true


class Lovasz(nn.Module):
    """`sum_i e_i g_i`, errors `e = |t_c - p_c|` in falling order, g the steps of the Jaccard loss.

    Berman et al. 2018 (arXiv:1705.08790, eq. 8 and algorithm 1), the mean over the classes; of hard
    predictions it is 1 - IoU. All classes are sorted at once. An ignored pixel has error 0 and
    belongs to no class, so it comes last and adds nothing.

    logits `(B, K, H, W)`, or `(B, 1, H, W)` for two classes; targets int64 `(B, H, W)`, 255 =
    ignore; returns a scalar in [0, 1]. Arguments as of `RegionLoss`.
    """

    tasks = ("segmentation",)

    def __init__(
        self, class_counts: Sequence[int] | None = None, *, absent: Absent, per_image: bool
    ) -> None:
        super().__init__()
        self.absent, self.per_image = absent, per_image

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        probabilities, truth, _ = soft_and_true(logits, targets)
        if not self.per_image:  # one image as wide as the batch
            probabilities, truth = (t.transpose(0, 1).unsqueeze(0) for t in (probabilities, truth))
        probabilities, true = probabilities.flatten(2), truth.flatten(2)
        errors, order = (true.float() - probabilities).abs().sort(-1, descending=True)
        # Counts are whole: sums of float32 are not exact above 2^24 pixels.
        sizes = true.sum(-1, keepdim=True, dtype=torch.int32)
        in_order = true.gather(-1, order)
        still_right = sizes - in_order.cumsum(-1, dtype=torch.int32)
        union = sizes + (~in_order).cumsum(-1, dtype=torch.int32)
        jaccard = 1 - still_right / union
        steps = jaccard.diff(dim=-1, prepend=torch.zeros_like(jaccard[..., :1]))
        return mean_over_classes((errors * steps).sum(-1), sizes.squeeze(-1), self.absent)

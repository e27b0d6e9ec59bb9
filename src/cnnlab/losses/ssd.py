"""SSD's loss: a class for the anchors that stand for a box and for the hardest of the others."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cnnlab.boxes.geometry import SPREAD
from cnnlab.boxes.matcher import Matcher
from cnnlab.boxes.matching import Matches, Truth
from cnnlab.boxes.outputs import AnchorOutputs
from cnnlab.losses.box_regression import BoxLoss, box_loss


class SSDLoss(nn.Module):
    """Cross-entropy with hard negatives, a box loss over the positives (Liu et al. 2016, eq. 1).

    Every box has the anchor that it overlaps most, and all anchors from an IoU of `foreground` on.
    Of an image's background count the anchors with the largest loss, `negatives` for each positive;
    so an image without boxes adds nothing. Anchors in crowds are left out.

    outputs of B images and the truth of the batch; returns `{"class": scalar, "box": scalar}`.

    Args:
        class_counts: not used.
        negatives: background anchors for each positive.
        box: which loss of the place; offsets are compared in units of `SPREAD`.
        box_weight: factor of it.
        normalizer: both sums are divided by the number of positives, of the batch (the paper), or
            of each image before the mean over the images. At least 1.
        foreground: IoU from which an anchor is positive; below it is background.
    """

    tasks = ("detection",)
    terms = ("class", "box")
    takes = ("softmax scores",)

    def __init__(
        self,
        class_counts: Sequence[int] | None = None,
        *,
        negatives: float,
        box: BoxLoss,
        box_weight: float,
        normalizer: Literal["batch", "image"],
        foreground: float,
    ) -> None:
        super().__init__()
        self.negatives = negatives
        self.box: BoxLoss = box
        self.box_weight = box_weight
        self.normalizer = normalizer
        self.matcher = Matcher(foreground=foreground, background=foreground, forced="taken")
        self.register_buffer("spread", torch.tensor(SPREAD), persistent=False)

    def forward(self, outputs: AnchorOutputs, truth: Truth) -> dict[str, Tensor]:
        matches = self.matcher(outputs.anchors, truth, len(outputs.scores))
        target = (truth.label[matches.box] + 1).where(matches.positive, 0)
        # (B, K, A): classes stand second.
        terms = F.cross_entropy(outputs.scores.float().mT, target, reduction="none")
        counts = matches.positive | self._hardest(terms.detach(), matches)
        # Zeros where they stand for no box: what is not finite there must not reach the gradient.
        deltas = outputs.deltas.float().where(matches.positive.unsqueeze(-1), 0.0)
        placed = box_loss(
            self.box,
            deltas,
            outputs.anchors,
            truth.xyxy[matches.box],
            spread=self.get_buffer("spread"),
            smooth=1.0,  # the paper's
        )
        return {
            "class": self._mean(terms.where(counts, 0.0), matches),
            "box": self.box_weight * self._mean(placed * matches.positive, matches),
        }

    def _hardest(self, terms: Tensor, matches: Matches) -> Tensor:
        """Of each image the background anchors `(B, A)` with the largest terms."""
        order = terms.masked_fill(~matches.background, -1.0).argsort(1, descending=True)
        rank = order.argsort(1)
        most = self.negatives * matches.positive.sum(1, keepdim=True)
        return matches.background & (rank < most)

    def _mean(self, terms: Tensor, matches: Matches) -> Tensor:
        """Of `(B, A)`, a scalar."""
        if self.normalizer == "batch":
            return terms.sum() / matches.positive.sum().clamp(min=1)
        return (terms.sum(1) / matches.positive.sum(1).clamp(min=1)).mean()

"""RetinaNet's loss: every anchor's class, and the place of those that stand for a box."""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from cnnlab.boxes.matcher import Matcher
from cnnlab.boxes.matching import Matches, Truth
from cnnlab.boxes.outputs import AnchorOutputs
from cnnlab.errors import UserError
from cnnlab.losses.box_regression import BoxLoss, box_loss
from cnnlab.losses.sigmoid_focal import focal_of_labels


class RetinaNetLoss(nn.Module):
    """Sigmoid focal loss over all anchors, a box loss over the positives (Lin et al. 2017, eq. 5).

    Anchors whose IoU lies between `background` and `foreground`, and those in crowds, are left
    out.

    outputs of B images and the truth of the batch; returns `{"class": scalar, "box": scalar}`.

    Args:
        class_counts: not used.
        gamma: 0 is cross-entropy.
        alpha: weight of the present class, 1 - alpha that of the absent; None: 1 for both.
        box: which loss of the place.
        box_weight: factor of it.
        normalizer: both sums are divided by the number of positives, of the batch (the paper), or
            of each image before the mean over the images (torchvision). At least 1.
        foreground: IoU from which an anchor is positive.
        background: IoU below which it is background.

    Raises:
        UserError: an alpha above 1; a background above the foreground.
    """

    tasks = ("detection",)
    takes = ("sigmoid scores",)
    terms = ("class", "box")

    def __init__(
        self,
        class_counts: Sequence[int] | None = None,
        *,
        gamma: float,
        alpha: float | None,
        box: BoxLoss,
        box_weight: float,
        normalizer: Literal["batch", "image"],
        foreground: float,
        background: float,
    ) -> None:
        super().__init__()
        if alpha is not None and alpha > 1:
            raise UserError(f"loss.alpha={alpha}: must be at most 1; absent classes get 1 - alpha")
        if background > foreground:
            raise UserError(
                f"loss.background={background}: must be at most loss.foreground={foreground}"
            )
        self.gamma, self.alpha = gamma, alpha
        self.box: BoxLoss = box
        self.box_weight = box_weight
        self.normalizer = normalizer
        self.matcher = Matcher(foreground=foreground, background=background, forced="kept")

    def forward(self, outputs: AnchorOutputs, truth: Truth) -> dict[str, Tensor]:
        matches = self.matcher(outputs.anchors, truth, len(outputs.scores))
        counts = (matches.positive | matches.background).float()
        label = truth.label[matches.box].where(matches.positive, -1)
        terms = focal_of_labels(outputs.scores.float(), label, self.gamma, self.alpha)
        # Zeros where they stand for no box: what is not finite there must not reach the gradient.
        deltas = outputs.deltas.float().where(matches.positive.unsqueeze(-1), 0.0)
        placed = box_loss(self.box, deltas, outputs.anchors, truth.xyxy[matches.box])
        return {
            "class": self._mean(terms * counts, matches),
            "box": self.box_weight * self._mean(placed * matches.positive, matches),
        }

    def _mean(self, terms: Tensor, matches: Matches) -> Tensor:
        """Of `(B, A)`, a scalar."""
        if self.normalizer == "batch":
            return terms.sum() / matches.positive.sum().clamp(min=1)
        return (terms.sum(1) / matches.positive.sum(1).clamp(min=1)).mean()

"""The loss of a region proposal network: a balanced sample of its anchors (Ren et al. 2015)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cnnlab.boxes.matcher import Matcher
from cnnlab.boxes.matching import Truth
from cnnlab.boxes.outputs import AnchorOutputs
from cnnlab.boxes.sampling import draw_balanced
from cnnlab.errors import UserError
from cnnlab.losses.box_regression import BoxLoss, box_loss


class RPNLoss(nn.Module):
    """Cross-entropy over the sample, a box loss over its positives; the mean over the sample.

    Both sums are divided by the number drawn of the batch, as in torchvision. Of one score an
    anchor 'object or not' is learnt; of 1 + K (`AnchorOutputs.background`) the class or none.
    Anchors whose IoU lies between `background` and `foreground`, and those in crowds, are not
    drawn. In evaluation the draw is the same each time.

    outputs of B images and the truth of the batch; returns `{"class": scalar, "box": scalar}`.

    Args:
        class_counts: not used.
        sample: anchors an image.
        positives: their share at most.
        box: which loss of the place.
        box_weight: factor of it.
        foreground: IoU from which an anchor is positive.
        background: IoU below which it is background.

    Raises:
        UserError: a background above the foreground.
    """

    tasks = ("detection",)
    terms = ("class", "box")
    takes = ("softmax scores",)

    def __init__(
        self,
        class_counts: Sequence[int] | None = None,
        *,
        sample: int,
        positives: float,
        box: BoxLoss,
        box_weight: float,
        foreground: float,
        background: float,
    ) -> None:
        super().__init__()
        if background > foreground:
            raise UserError(
                f"the RPN's loss: background={background}: must be at most foreground={foreground}"
            )
        self.sample, self.positives = sample, positives
        self.box: BoxLoss = box
        self.box_weight = box_weight
        self.matcher = Matcher(foreground=foreground, background=background, forced="kept")

    def forward(self, outputs: AnchorOutputs, truth: Truth) -> dict[str, Tensor]:
        matches = self.matcher(outputs.anchors, truth, len(outputs.scores))
        drawn = draw_balanced(
            matches.positive,
            matches.background,
            self.sample,
            self.positives,
            fixed(self, outputs.anchors),
        )
        box = matches.box.gather(1, drawn.chosen)
        image = torch.arange(len(box), device=box.device)[:, None]
        scores = outputs.scores[image, drawn.chosen].float()
        if outputs.background:
            target = (truth.label[box] + 1).where(drawn.positive, 0)
            terms = F.cross_entropy(scores.mT, target, reduction="none")
        else:
            terms = F.binary_cross_entropy_with_logits(
                scores[..., 0], drawn.positive.float(), reduction="none"
            )
        deltas = outputs.deltas[image, drawn.chosen].float()
        placed = box_loss(
            self.box,
            # Zeros where they stand for no box: what is not finite there must not count.
            deltas.where(drawn.positive.unsqueeze(-1), 0.0),
            outputs.anchors[drawn.chosen],
            truth.xyxy[box],
        )
        number = drawn.valid.sum().clamp(min=1)
        return {
            "class": terms.where(drawn.valid, 0.0).sum() / number,
            "box": self.box_weight * (placed * drawn.positive).sum() / number,
        }


def fixed(loss: nn.Module, like: Tensor) -> torch.Generator | None:
    """Where a loss draws from: torch's own generator in training, which each step reseeds.

    In evaluation one of its own, so that `val/loss` does not depend on what was drawn before.
    """
    return None if loss.training else torch.Generator(like.device).manual_seed(0)

"""The loss of detectors of two stages: Faster R-CNN and R-FCN."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cnnlab.boxes.geometry import SPREAD
from cnnlab.boxes.matching import Truth, match_proposals
from cnnlab.boxes.outputs import AnchorOutputs
from cnnlab.boxes.proposals import Proposals, propose
from cnnlab.boxes.sampling import draw_balanced
from cnnlab.losses.box_regression import BoxLoss, box_loss
from cnnlab.losses.rpn import fixed


class TwoStageLoss(nn.Module):
    """The first stage's loss, and that of a balanced sample of its proposals (Girshick 2015).

    The true boxes join the proposals before the draw, so that there is something to learn from at
    first (in evaluation as well, so that the losses compare). Of the sample: cross-entropy over K
    classes and 'none', and a box loss over the positives, whose box is that of its class where
    there is one a class. Both sums are divided by the number drawn of the batch, as in torchvision.
    Proposals in crowds are not drawn.

    outputs of B images and the truth of the batch; returns the scalars `rpn_class`, `rpn_box`,
    `class` and `box`.

    Attributes:
        matcher: of the anchors, the first stage's.

    Args:
        class_counts: not used.
        rpn: what makes the first stage's loss, as in `conf/loss/rpn.yaml`.
        sample: proposals an image.
        positives: their share at most.
        box: which loss of the place; offsets are compared in units of `SPREAD`.
        box_weight: factor of it.
        foreground: IoU from which a proposal stands for a box; below it is background.
    """

    tasks = ("detection",)
    terms = ("rpn_class", "rpn_box", "class", "box")
    takes = ("proposals",)

    def __init__(
        self,
        class_counts: Sequence[int] | None = None,
        *,
        rpn: Callable[..., nn.Module],
        sample: int,
        positives: float,
        box: BoxLoss,
        box_weight: float,
        foreground: float,
    ) -> None:
        super().__init__()
        self.rpn = rpn(class_counts)
        self.matcher = self.rpn.matcher  # of the anchors; `python -m cnnlab check` looks at it
        self.sample, self.positives = sample, positives
        self.box: BoxLoss = box
        self.box_weight = box_weight
        self.foreground = foreground
        self.register_buffer("spread", torch.tensor(SPREAD), persistent=False)

    def forward(self, outputs: AnchorOutputs, truth: Truth) -> dict[str, Tensor]:
        assert outputs.second is not None
        first: dict[str, Tensor] = self.rpn(outputs, truth)
        drawn = self._draw(propose(outputs), truth)
        scores, deltas = outputs.second(drawn.xyxy, drawn.image)
        terms = F.cross_entropy(scores.float(), drawn.target, reduction="none")
        if deltas.ndim == 3:  # a box a class
            label = (drawn.target - 1).clamp(min=0)[:, None, None].expand(-1, 1, 4)
            deltas = deltas.gather(1, label)[:, 0]
        # Zeros where they stand for no box: what is not finite there must not count.
        deltas = deltas.float().where((drawn.target > 0)[:, None], 0.0)
        placed = box_loss(self.box, deltas, drawn.xyxy, drawn.box, spread=self.get_buffer("spread"))
        number = drawn.valid.sum().clamp(min=1)
        return {
            **{f"rpn_{name}": value for name, value in first.items()},
            "class": terms.where(drawn.valid, 0.0).sum() / number,
            "box": self.box_weight * (placed * (drawn.target > 0)).sum() / number,
        }

    def _draw(self, proposals: Proposals, truth: Truth) -> "_Sample":
        images = len(proposals.xyxy)
        number = torch.arange(images, device=truth.image.device)[:, None]
        # An image's own boxes come first, then some of others, which do not count: of one shape.
        own = (truth.image == number) & ~truth.crowd
        most = int(own.sum(1).max())  # waits for the device, as NMS did just before
        which = own.long().argsort(dim=1, descending=True, stable=True)[:, :most]
        xyxy = torch.cat((proposals.xyxy, truth.xyxy[which]), 1)
        valid = torch.cat((proposals.valid, own.gather(1, which)), 1)
        image = number.expand_as(valid)
        matches = match_proposals(
            xyxy.flatten(0, 1),
            image.flatten(),
            truth,
            foreground=self.foreground,
            background=self.foreground,
        )
        drawn = draw_balanced(
            matches.positive.view_as(valid) & valid,
            matches.background.view_as(valid) & valid,
            self.sample,
            self.positives,
            fixed(self, xyxy),
        )
        box = matches.box.view_as(valid).gather(1, drawn.chosen).flatten()
        return _Sample(
            xyxy[number, drawn.chosen].flatten(0, 1),
            number.expand_as(drawn.chosen).flatten(),
            truth.xyxy[box],
            (truth.label[box] + 1).where(drawn.positive.flatten(), 0),
            drawn.valid.flatten(),
        )


class _Sample(NamedTuple):
    """P proposals of a batch."""

    xyxy: Tensor
    """float32 `(P, 4)`."""
    image: Tensor
    """int64 `(P,)`."""
    box: Tensor
    """float32 `(P, 4)`: what each stands for."""
    target: Tensor
    """int64 `(P,)`: 1 + its class; 0 for none."""
    valid: Tensor
    """bool `(P,)`: whether it was drawn, and does not fill up."""

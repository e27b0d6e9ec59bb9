"""From the anchors of a first stage to the few boxes that the second looks at."""

from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.ops import batched_nms

from cnnlab.boxes.geometry import clipped, decode
from cnnlab.boxes.outputs import AnchorOutputs

LEAST_SIDE = 1e-3
"""In pixels; a proposal with a smaller side cannot be encoded against (torchvision's)."""


class Proposals(NamedTuple):
    """N boxes of each of B images, the surest first; where an image has fewer, the rest is filled.

    Of one shape for all images, so that matching and sampling need no loop over them.
    """

    xyxy: Tensor
    """float32 `(B, N, 4)`; the whole image where there is none."""
    valid: Tensor
    """bool `(B, N)`: which are proposals."""


@torch.no_grad()
def propose(outputs: AnchorOutputs) -> Proposals:
    """The best anchors of each level, decoded, clipped, without tiny ones, after NMS by level.

    As Faster R-CNN over a pyramid (Lin et al. 2017, section 4.2) and torchvision have it, for all
    images at once. Boxes are clipped to the batch's images, padding included. A class-aware first
    stage proposes what is not background, by 1 - its probability.

    Args:
        outputs: of a two-stage net.
    """
    rule = outputs.proposing
    assert rule is not None
    scores = outputs.scores.float()
    sure = 1 - scores.softmax(-1)[..., 0] if outputs.background else scores[..., 0].sigmoid()
    images = len(sure)
    chosen, group, start = [], [], 0
    for number, count in enumerate(outputs.levels):
        level = sure[:, start : start + count]
        best = level.topk(min(rule.candidates, count), 1).indices + start
        chosen.append(best)
        group.append(torch.full_like(best, number))
        start += count
    anchor, level = torch.cat(chosen, 1), torch.cat(group, 1)
    image = torch.arange(images, device=sure.device)[:, None].expand_as(anchor)
    boxes = decode(outputs.deltas[image, anchor], outputs.anchors[anchor])
    boxes = clipped(boxes.flatten(0, 1), *outputs.size)
    sure, image = sure.gather(1, anchor).flatten(), image.flatten()
    level = level.flatten()
    # From here on it waits for the device, as NMS does anyway.
    (large,) = (boxes[:, 2:] - boxes[:, :2] >= LEAST_SIDE).all(1).nonzero(as_tuple=True)
    boxes, sure, image, level = boxes[large], sure[large], image[large], level[large]
    kept = batched_nms(boxes, sure, image * len(outputs.levels) + level, rule.nms_iou)
    return _dense(boxes[kept], image[kept], images, rule.kept, outputs.size)


def _dense(
    boxes: Tensor, image: Tensor, images: int, most: int, size: tuple[int, int]
) -> Proposals:
    """The first `most` boxes `(P, 4)` of each image, in their order."""
    number = torch.arange(images, device=image.device)
    rank = (image[:, None] == number).long().cumsum(0).gather(1, image[:, None])[:, 0] - 1
    # Those beyond the last place share one more, which is cut off.
    place = (image * most + rank).where(rank < most, images * most)
    whole = boxes.new_tensor([0.0, 0.0, size[1], size[0]])
    xyxy = whole.repeat(images * most + 1, 1).index_copy(0, place, boxes)
    valid = torch.zeros(images * most + 1, dtype=torch.bool, device=image.device)
    valid = valid.index_fill(0, place, True)
    return Proposals(xyxy[:-1].view(images, most, 4), valid[:-1].view(images, most))

"""All that a net computes for an image."""

from typing import Any

from torch import Tensor, nn


def whole(net: nn.Module, image: Tensor) -> Any:
    """The outputs of `net` for one image `(1, C, H, W)`, after all of its forward.

    A detector of two stages gives outputs with `second`, which the first stage's proposals are put
    to; it is called with as many as an image has at most, each the whole image. So the cost is that
    of the busiest image, and none of it depends on values, which a count has not.
    """
    outputs = net(image)
    second = getattr(outputs, "second", None)
    if second is not None:
        boxes = outputs.anchors.new_zeros(outputs.proposing.kept, 4)
        boxes[:, 2], boxes[:, 3] = image.shape[-1], image.shape[-2]
        second(boxes, boxes.new_zeros(len(boxes)).long())
    return outputs

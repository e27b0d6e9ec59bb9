"""Auxiliary classifiers: further heads that learn beside the last one and vanish at test."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

Outputs = Tensor | tuple[Tensor, list[Tensor]]
"""Logits `(B, K)`; in training, of a net with auxiliary heads, with those of each head."""


def classifier_losses(
    loss: Callable[[Tensor, Tensor], Tensor], net: Any, outputs: Outputs, targets: Tensor
) -> dict[str, Tensor]:
    """The loss of the logits and, as `auxiliary`, the net's `aux_weight` times that of each head.

    Szegedy et al. 2015, section 5: weight 0.3.
    """
    if not isinstance(outputs, tuple):
        return {"loss": loss(outputs, targets)}
    logits, heads = outputs
    weight = net.backbone.aux_weight
    auxiliary = sum((loss(head, targets) for head in heads), start=logits.new_zeros(()))
    return {"loss": loss(logits, targets), "auxiliary": weight * auxiliary}

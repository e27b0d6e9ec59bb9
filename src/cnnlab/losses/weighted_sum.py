"""Several losses at once, each with its weight."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from cnnlab.errors import UserError


class WeightedSum(nn.Module):
    """`{name: weight * loss}`; their sum is minimised, each is logged under its name.

    Args:
        class_counts: handed to each term.
        terms: by name, what makes a loss, as in `conf/loss` (`_partial_: true`).
        weights: by the same names.

    Raises:
        UserError: names that differ; a weight that is not above 0.
    """

    tasks = ("segmentation",)

    def __init__(
        self,
        class_counts: Sequence[int] | None = None,
        *,
        terms: dict[str, Any],
        weights: dict[str, float],
    ) -> None:
        super().__init__()
        if not terms or set(terms) != set(weights):
            raise UserError(
                f"loss.weights={weights}: must have the names of loss.terms: {', '.join(terms)}"
            )
        for name, weight in weights.items():
            if weight <= 0:
                raise UserError(f"loss.weights.{name}={weight}: must be above 0")
        made: dict[str, Callable[..., nn.Module]] = terms
        self.terms = nn.ModuleDict({name: make(class_counts) for name, make in made.items()})
        self.weights = dict(weights)

    def forward(self, outputs: Any, targets: Any) -> dict[str, Tensor]:
        return {
            name: self.weights[name] * term(outputs, targets) for name, term in self.terms.items()
        }

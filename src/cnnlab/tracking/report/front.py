"""The Pareto front of a metric and a cost."""

from collections.abc import Sequence

from cnnlab.tracking.comparison import Group


def front(groups: Sequence[Group], cost: str, higher_is_better: bool) -> list[Group]:
    """Groups that no other beats in the metric at no more cost, cheapest first.

    As `Group.pareto`, which is about one cost, for any: of two equal groups both are on it.
    """
    sign = 1 if higher_is_better else -1
    known = [
        (c, sign * g.mean, g)
        for g in groups
        if (c := g.cost[cost]) is not None and g.mean is not None
    ]
    kept = [
        (price, good, own)
        for price, good, own in known
        if not any(
            other <= price and theirs >= good and (other < price or theirs > good)
            for other, theirs, _ in known
        )
    ]
    return [own for _, _, own in sorted(kept, key=lambda item: item[:2])]

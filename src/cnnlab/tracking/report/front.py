"""The Pareto front of a metric and a cost."""

from collections.abc import Sequence

from cnnlab.tracking.comparison import Group


def front(groups: Sequence[Group], cost: str, higher_is_better: bool) -> list[Group]:
    """Groups that no other beats in the metric at no more cost, cheapest first.

    As `Group.pareto`, which is about one cost, for any: of two equal groups both are on it.
    """
    sign = 1 if higher_is_better else -1
    known = [
        (price, -sign * g.mean, g)
        for g in groups
        if (price := g.cost[cost]) is not None and g.mean is not None
    ]
    kept: list[tuple[float, float, Group]] = []
    for price, badness, own in sorted(known, key=lambda item: item[:2]):
        if not kept or badness < kept[-1][1] or (price, badness) == kept[-1][:2]:
            kept.append((price, badness, own))
    return [own for _, _, own in kept]

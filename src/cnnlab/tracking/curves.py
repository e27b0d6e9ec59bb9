"""Learning curves of groups: mean and range over the runs, on common steps."""

from collections.abc import Sequence

from cnnlab.tracking.comparison import Curve, Group
from cnnlab.tracking.reading import History

MOST_POINTS = 200
"""Of a curve; more are thinned evenly."""


def curves(groups: Sequence[Group], metric: str) -> dict[str, list[Curve]]:
    """Of the metric on val (for `test/top1` that is `val/top1`) and on train, and of the losses.

    Keys that no run logged more than once are left out.
    """
    name = metric.partition("/")[2] or metric
    wanted = dict.fromkeys([metric, f"val/{name}", f"train/{name}", "val/loss", "train/loss"])
    found = {}
    for key in wanted:
        of_groups = [_curve(group, key) for group in groups]
        drawn = [curve for curve in of_groups if curve is not None]
        if any(len(curve.steps) > 1 for curve in drawn):
            found[key] = drawn
    return found


def _curve(group: Group, key: str) -> Curve | None:
    import numpy as np

    histories = [run.history[key] for run in group.runs if key in run.history]
    lines = [line for line in map(_finite, histories) if line[0]]
    if not lines:
        return None
    # Only where every run has been: the mean of fewer runs would jump.
    first, last = max(line[0][0] for line in lines), min(line[0][-1] for line in lines)
    steps = np.unique(np.concatenate([line[0] for line in lines]))
    steps = steps[(steps >= first) & (steps <= last)]
    if not len(steps):
        return None
    if len(steps) > MOST_POINTS:
        steps = steps[np.linspace(0, len(steps) - 1, MOST_POINTS).round().astype(int)]
    values = np.stack([np.interp(steps, line[0], line[2]) for line in lines])
    epochs = np.mean([np.interp(steps, line[0], line[1]) for line in lines], axis=0)
    return Curve(
        group=group.name,
        steps=steps.tolist(),
        epochs=epochs.tolist(),
        mean=values.mean(axis=0).tolist(),
        low=values.min(axis=0).tolist(),
        high=values.max(axis=0).tolist(),
        n=len(lines),
    )


def _finite(history: History) -> tuple[list[int], list[float], list[float]]:
    """Steps, epochs done and values, without NaN and infinite ones.

    A row's epoch counts those done before; the figure of an epoch belongs to its end.
    """
    rows = zip(history.steps, history.epochs, history.values, strict=True)
    kept = [row for row in rows if abs(row[2]) < float("inf")]
    return [r[0] for r in kept], [r[1] + 1.0 for r in kept], [r[2] for r in kept]

"""The number that runs are compared by: which one, which way is better, and its value in a run."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cnnlab.errors import UserError, nearest
from cnnlab.tracking.comparison import COSTS
from cnnlab.tracking.reading import RunData

PREFERRED = ("test/top1", "test/miou", "test/map", "test/average_precision")
"""What a task is judged by; the first that the most runs have is compared where none is named."""
_LOWER_IS_BETTER = {
    *("err", "ece", "nll", "mse", "rmse", "mae", "mape", "brier", "perplexity", "ppl"),
    *("wer", "cer", "eer", "fid", "kid", "lpips", "fpr", "fnr"),
}
_MOST = 1e100
"""Beyond, a number is as good as infinite: a run that diverged; its square may have no float."""
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
"""Of `val/logLoss` and `fpr95`: val, log, Loss; fpr."""


def choose(runs: Sequence[RunData], named: str | None) -> str:
    """The metric `named` by a person or an ablation, else the usual one of the task.

    Raises:
        UserError: no run has it, or none of the usual ones is there.
    """
    candidates = Counter(key for run in runs for key in _keys(run))
    listed = ", ".join(sorted(k for k in candidates if not k.startswith(("time/", "train/"))))
    listed = listed or "no finished run has any"
    if named is not None:
        if named not in candidates:
            raise UserError(
                f"metric {named}: no finished run has it{nearest(named, candidates)} "
                f"(--metric takes one of: {listed})"
            )
        return named
    usual = [key for key in PREFERRED if key in candidates]
    if not usual:
        raise UserError(f"--metric: none of {', '.join(PREFERRED)} is there; name one of: {listed}")
    return max(usual, key=lambda key: candidates[key])  # of equals the first


def higher_is_better(metric: str, runs: Sequence[RunData]) -> bool:
    """As the runs' own task says of its monitor, else by the name: losses and costs are low."""
    return better_when_high(metric, [run.config for run in runs])


def better_when_high(metric: str, configs: Iterable[Mapping[str, Any]]) -> bool:
    """As `higher_is_better`, of configs that have not run yet."""
    configs = list(configs)
    said = said_by_task(metric, configs)
    if said is not None:
        return said
    stage, _, name = metric.partition("/")
    if stage == "cost" or (stage == "time" and not name.endswith("_per_s")):
        return False
    words = [word.lower() for word in _WORDS.findall(metric)]
    low = ("loss", "losses", "error", "errors")
    return not any(word in _LOWER_IS_BETTER or word.endswith(low) for word in words)


def said_by_task(metric: str, configs: Iterable[Mapping[str, Any]]) -> bool | None:
    """Whether higher is better, where `metric` is what a task monitors; None: it is not."""
    name = metric.partition("/")[2]
    for config in configs:
        task = config.get("task")
        if isinstance(task, dict) and str(task.get("monitor")).partition("/")[2] == name != "":
            return task.get("mode") != "min"
    return None


def check_direction(metric: str, higher: bool, runs: Sequence[RunData]) -> None:
    """Refuse a direction that is not the one in which the runs were trained and chosen.

    Raises:
        UserError: their task monitors the metric and says otherwise.
    """
    said = said_by_task(metric, [run.config for run in runs])
    if said is not None and said != higher:
        raise UserError(
            f"--{'higher' if higher else 'lower'}: {metric} is better when "
            f"{'high' if said else 'low'}, as the runs' task says (task.mode)"
        )


def is_guess(metric: str, runs: Sequence[RunData]) -> bool:
    """Whether `higher_is_better` goes by the name that another program gave its metric."""
    stage = metric.partition("/")[0]
    known = said_by_task(metric, [run.config for run in runs]) is not None
    foreign = any(run.wandb is not None and not run.identity for run in runs)
    return foreign and not known and stage not in ("cost", "time")


def is_about(metric: str, claimed: str) -> bool:
    """Whether a claim about the one metric is one about the other: its own, on val, or its loss."""
    stages = {metric.partition("/")[0], claimed.partition("/")[0]}
    if metric == claimed or not stages <= {"test", "val"}:
        return metric == claimed
    return same_name(metric, claimed) or metric.partition("/")[2] == "loss"


def same_name(metric: str, other: str) -> bool:
    """Whether two metrics are one but for the split."""
    return metric.partition("/")[2] == other.partition("/")[2]


def value(run: RunData, metric: str) -> float | None:
    """The metric of a run that has ended; None: it has none; NaN: not finite, or beyond 1e100.

    `test/...` and `time/...` are what the run ended with. `val/...`, `train/...` and keys of other
    programs are those of the checkpoint that was tested: at the best epoch where that was the best
    one, else (also where nothing was tested) the last.
    """
    if metric.startswith("cost/"):
        return run.cost.get(metric)
    history = run.history.get(metric)
    if metric.startswith(("test/", "time/")) or history is None or not history.values:
        if metric not in run.metrics:
            return None
        return _finite(run.metrics[metric])
    if run.tested == "best" and run.best is not None:
        until = [i for i, step in enumerate(history.steps) if step <= run.best["step"]]
        return _finite(history.values[until[-1]]) if until else None
    # run.json says it, too, and is whole where metrics.csv was cut.
    return _finite(run.metrics[metric] if metric in run.metrics else history.values[-1])


def is_cut(run: RunData) -> bool:
    """Whether metrics.csv of a finished run lacks what run.json says was written last."""
    return run.wandb is None and any(
        not (known := run.history.get(key)) or not _same(known.values[-1], last)
        for key, last in run.metrics.items()
    )


def _same(mine: float, theirs: float | None) -> bool:
    return theirs is None or mine == theirs or not math.isfinite(mine)


UNSTEADY = 2.0
"""Latencies of one net that are so many times apart are the machine's business, not the net's."""


def latencies(runs: Iterable[RunData]) -> list[float]:
    """Of those runs that measured theirs, ascending."""
    return sorted(ms for run in runs if (ms := cost(run, "latency_ms")) is not None)


def is_unsteady(times: Sequence[float]) -> bool:
    """Whether ascending `times` of one net are too far apart for their mean to mean anything."""
    return bool(times) and times[-1] > UNSTEADY * times[0]


def cost(run: RunData, name: str) -> float | None:
    """A cost by its short name, one of `COSTS`; None: not measured."""
    if name == "fit_s":
        return run.metrics.get("time/fit_s")
    return run.cost.get(f"cost/{name}")


def check_cost(name: str) -> str:
    """`name` as one of `COSTS`; `cost/gmacs` is taken for `gmacs`.

    Raises:
        UserError: no such cost.
    """
    short = name.removeprefix("cost/").removeprefix("time/")
    if short not in COSTS:
        raise UserError(f"--cost {name}: must be one of {', '.join(COSTS)}{nearest(short, COSTS)}")
    return short


def _keys(run: RunData) -> set[str]:
    return {*run.metrics, *(key for key, cost in run.cost.items() if cost is not None)}


def _finite(number: float | None) -> float:
    return math.nan if number is None or not abs(number) < _MOST else float(number)

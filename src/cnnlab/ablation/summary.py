"""What is said of a multirun: how it stands, and at the end a table of all arms."""

import statistics
from collections import Counter
from io import StringIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cnnlab.ablation.job import Plan
from cnnlab.ablation.job_state import LOG, JobState

_COSTS = {"cost/params_m": "params/M", "cost/gmacs": "GMACs"}


def metric_of(plan: Plan, states: list[JobState]) -> str | None:
    """The key to show: the plan's, else the test counterpart of what chose the best checkpoint."""
    if plan.metric is not None:
        return plan.metric
    chosen = Counter(state.best_key for state in states if state.best_key)
    return chosen.most_common(1)[0][0].replace("val/", "test/", 1) if chosen else None


def final_table(plan: Plan, states: list[JobState]) -> str:
    """A line an arm, and one for each run that did not finish; folders alone decide, not time.

    Args:
        plan: the multirun.
        states: of its jobs, in their order.
    """
    metric = metric_of(plan, states)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("arm", overflow="fold")
    for title in ("n", f"mean {metric}" if metric else "mean", "sd", *_COSTS.values()):
        table.add_column(title, justify="right")
    for arm in dict.fromkeys(job.arm for job in plan.jobs):
        mine = [state for job, state in zip(plan.jobs, states, strict=True) if job.arm == arm]
        done = [state for state in mine if state.status == "finished"]
        values = [v for state in done if (v := state.values.get(metric or "")) is not None]
        n = len(values) if metric else len(done)  # as many as the mean is of
        counts = f"{n} of {len(mine)}" if n < len(mine) else str(n)
        table.add_row(Text(arm), counts, *_spread(values), *_cost(done))
    out = StringIO()
    Console(file=out, width=200, color_system=None).print(table)
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    return "\n".join([*lines, *unfinished(plan, states)])


def unfinished(plan: Plan, states: list[JobState]) -> list[str]:
    """A line for each run that did not finish: state, reason, where its output lies."""
    return [
        f"{state.status:9} {job.name}: {reason_of(state)} ({job.folder / LOG})"
        for job, state in zip(plan.jobs, states, strict=True)
        if state.status in ("failed", "stopped", "half-done")
    ]


def reason_of(state: JobState) -> str:
    """In one line."""
    if state.reason:
        return state.reason
    return "its process was killed" if state.status == "half-done" else "no reason given"


def clock(seconds: float) -> str:
    """`1:02:03`, `2:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _spread(values: list[float]) -> tuple[str, str]:
    mean = f"{statistics.fmean(values):.4f}" if values else "-"
    return mean, f"{statistics.stdev(values):.4f}" if len(values) > 1 else "-"


def _cost(done: list[JobState]) -> list[str]:
    """Of the first that finished: seeds of an arm share the net."""
    found = done[0].cost if done else {}
    return ["-" if (value := found.get(key)) is None else f"{value:.4g}" for key in _COSTS]

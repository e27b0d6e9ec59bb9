"""What a plan says of itself: arms with solved knobs and costs, runs, time and disk."""

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cnnlab.ablation.arm import Arm
from cnnlab.ablation.plan import Planned
from cnnlab.ablation.to_do import to_do
from cnnlab.ablation.tuning import lines as tuning_lines

if TYPE_CHECKING:
    from rich.table import Table

    from cnnlab.ablation.estimate import Probe

_WIDTH = 120


def arms_table(planned: Planned) -> str:
    """A line an arm: its words, the solved knob, the counted cost and how far that is off."""
    from rich.table import Table
    from rich.text import Text

    hold = planned.hold
    table = Table(box=None, pad_edge=False)
    table.add_column("arm", no_wrap=True)
    table.add_column("words", overflow="fold")
    columns = ["params M", "MACs G", "activations M"]
    if hold:
        columns = [hold.solve.rpartition(".")[2], *columns, f"{hold.cost} off by"]
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    common = _common(planned)
    for arm in planned.arms:
        shown = [*common, arm.solved.word] if arm.solved else common
        own = " ".join(word for word in arm.words if word not in shown)
        # As Text, for a list in brackets is no markup.
        table.add_row(Text(arm.name), Text(own), *_figures(arm, planned))
    lines = [*_title(planned, common), *_text(table), *(f"note: {n}" for n in planned.notes)]
    return "\n".join(lines)


def dry_run(planned: Planned) -> None:
    """Print the plan, part by part: the time is estimated by a few steps of one job an arm."""
    from cnnlab.ablation.estimate import disk_bytes, probe
    from cnnlab.errors import UserError

    print(arms_table(planned), flush=True)
    jobs = planned.plan.jobs
    seeds = list(dict.fromkeys(job.seed for job in jobs))
    each = ", ".join(map(str, seeds))
    left = to_do(planned)
    print(
        f"runs     {len(jobs)}: {len(planned.arms)} arms, {len(seeds)} seeds ({each}){left.counted}"
    )
    if left.others:
        print(f"stale    {left.others} of seeds or arms left out now: stale=keep|rerun")
    for line in tuning_lines(planned.tuning) if planned.tuning else ():
        chosen = f"; chosen before for {', '.join(left.chosen)}" if left.chosen else ""
        print(f"{line}{chosen}{left.tuning}")
    print(f"folder   {planned.plan.folder}", flush=True)
    at_once, runs = planned.cfg.jobs, left.runs(planned)
    probes: dict[str, Probe] = {}
    try:
        for arm in (one for one in planned.arms if runs[one.name]):
            probes[arm.name] = probe(arm.composed, at_once)
            print(f"probe    {arm.name}: {probes[arm.name]}", flush=True)
    except UserError as error:
        print(f"time     not known: {error}")
    else:
        total_s = sum(found.seconds * runs[name] for name, found in probes.items())
        rounds = f", {at_once} at once" if at_once > 1 else ""
        with_tuning = ", tuning with it" if left.tuning.to_do else ""
        took = duration(total_s / max(1, min(at_once, sum(runs.values()))))
        print(f"time     about {took}{rounds}{with_tuning}")
    keep = planned.cfg.keep
    each_run = {
        arm.name: disk_bytes(arm.composed, arm.cost["cost/params_m"], keep) for arm in planned.arms
    }
    total = sum(each_run[job.arm] for job in left.counted.to_do)
    print(f"disk     about {size(total)} (keep={keep})")


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3.5 h`, `4.2 days`."""
    for limit, unit, of in ((100, 1, "s"), (100 * 60, 60, "min"), (72 * 3600, 3600, "h")):
        if seconds < limit:
            value = seconds / unit
            return f"{value:.1f} {of}" if of == "h" else f"{value:.0f} {of}"
    return f"{seconds / 86400:.1f} days"


def size(count: float) -> str:
    """Bytes as `12 MB` or `3.4 GB` (powers of ten)."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def _title(planned: Planned, common: list[str]) -> Iterator[str]:
    plan = planned.plan
    if plan.ablation:
        yield f"{plan.name}: {plan.ablation['claim']}"
        yield f"source   {plan.ablation['source']}"
        asked = "; ".join(contrast["name"] for contrast in plan.ablation["contrasts"])
        yield f"asks     of {plan.ablation['metric']}: {asked}"
    else:
        yield plan.name
    shared = " ".join(word for word in common if not word.startswith("--"))
    if shared:
        yield f"all have {shared}"
    if planned.hold:
        hold = planned.hold
        of = f"arm {planned.baseline}" if planned.baseline else "the config as it is"
        yield f"held     {hold.cost} of {of} by {hold.solve}, within {hold.tolerance:.1%}"


def _common(planned: Planned) -> list[str]:
    first, *others = (arm.words for arm in planned.arms)
    return [word for word in first if all(word in words for words in others)]


def _figures(arm: Arm, planned: Planned) -> list[str]:
    cost = arm.cost
    figures = [f"{cost[f'cost/{key}']:.4g}" for key in ("params_m", "gmacs", "activations_m")]
    if planned.hold is None:
        return figures
    if arm.solved is None:
        return [_value(arm, planned.hold.solve), *figures, "held"]
    return [str(arm.solved.value), *figures, f"{arm.solved.deviation:+.1%}"]


def _value(arm: Arm, key: str) -> str:
    from cnnlab.config import keys, to_plain

    return str(keys.get(to_plain(arm.composed.cfg), key))


def _text(table: "Table") -> list[str]:
    from rich.console import Console

    out = io.StringIO()
    Console(file=out, width=_WIDTH).print(table)
    return [line.rstrip() for line in out.getvalue().splitlines()]

"""A comparison as CSV: a file with a row a group, and one with a row a run."""

import csv
import io
from pathlib import Path
from typing import Any

from cnnlab.tracking.comparison import COSTS, Comparison
from cnnlab.tracking.naming import shown
from cnnlab.tracking.settings import seed_of


def csv_files(comparison: Comparison, path: Path) -> dict[Path, str]:
    """The texts of `path`, a row a group, and of `<path>-runs.csv` beside it, a row a run.

    Numbers have all their digits; what there is not is empty.
    """
    runs = path.with_name(f"{path.stem}-runs{path.suffix}")
    return {path: _text(_groups(comparison)), runs: _text(_runs(comparison))}


def _groups(comparison: Comparison) -> list[dict[str, Any]]:
    paired = {own.group: own for own in comparison.paired}
    rows = []
    for group in comparison.groups:
        low, high = group.interval or (None, None)
        against = paired.get(group.name)
        less = (against.interval if against else None) or (None, None)
        rows.append(
            {
                "group": group.name,
                "metric": comparison.metric,
                "n": group.n,
                "mean": group.mean,
                "sd": group.sd,
                "low_95": low,
                "high_95": high,
                **{name: group.cost[name] for name in COSTS},
                "pareto": int(group.pareto),
                "baseline": comparison.baseline,
                "difference_n": against.n if against else None,
                "difference": against.mean if against else None,
                "difference_low_95": less[0],
                "difference_high_95": less[1],
                "p": against.p if against else None,
                "p_holm": against.p_holm if against else None,
                "sign_flip_p": against.sign_flip_p if against else None,
                "sign_flip_floor": against.sign_flip_floor if against else None,
                **{key: _word(group.settings[key]) for key in comparison.differs},
            }
        )
    return rows


def _runs(comparison: Comparison) -> list[dict[str, Any]]:
    """Those that count, then those left out, with the reason."""
    counted = [(p.run, g.name, p.value, "") for g in comparison.groups for p in g.points]
    others = [(out.run, out.group, None, out.reason) for out in comparison.left_out]
    settings = {g.name: g.settings for g in comparison.groups}
    rows = []
    for run, group, value, reason in [*counted, *others]:
        git = run.git or {}
        rows.append(
            {
                "group": group,
                "seed": seed_of(run),
                "metric": comparison.metric,
                "value": value,
                "left_out": reason,
                "run": run.name,
                "status": run.status,
                "tested": run.tested,
                **{name: run.cost.get(f"cost/{name}") for name in COSTS if name != "fit_s"},
                "fit_s": run.metrics.get("time/fit_s"),
                "commit": git.get("commit"),
                "dirty": git.get("dirty"),
                "identity": run.identity,
                **{key: _word(settings.get(group, {}).get(key)) for key in comparison.differs},
            }
        )
    return rows


def _word(value: Any) -> str:
    return "" if value is None else shown(value)


def _text(rows: list[dict[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()

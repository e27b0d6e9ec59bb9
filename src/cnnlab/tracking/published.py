"""The published effect of a contrast, from the rows of `reference/results.csv`.

An ablation names `published: {table, rows: {arm: key}}`. A key is the row's `setting`; where
several rows of the table have it, `model|setting` or `model|setting|dataset`. Of these rows the one
counts whose metric is comparable with the ablation's; an error counts as 100 % less it. The effect
is the contrast of these values, so a published drop in error is a positive effect on top1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cnnlab.errors import UserError, nearest
from cnnlab.reference.results import Result, results
from cnnlab.tracking.contrasts import Contrast

COMPARABLE: dict[str, dict[str, int]] = {
    "top1": {"top1_accuracy": 1, "top1_error": -1, "error": -1},
    "top5": {"top5_accuracy": 1, "top5_error": -1},
    "miou": {"mIoU@V": 1, "mIoU@C": 1},
    "map50": {"mAP@0.5": 1},
}
"""Last word of our key -> published metrics of the same quantity, in percent, and -1 for errors.

`error` is CIFAR's top-1 error.
"""


@dataclass(frozen=True)
class PublishedEffect:
    """A contrast of published values.

    Attributes:
        value: in the unit (share of 1) and direction of our metric; with `rank` Spearman's
            correlation. None where it cannot be had; `missing` says why.
        unit: of the printed values, such as `%`; "" without a value, as the next two.
        metric: as published, such as `top1_error`.
        dataset: as published.
        note: the rows' notes, each once.
        missing: what is not published, or "".
    """

    value: float | None
    unit: str = ""
    metric: str = ""
    dataset: str = ""
    note: str = ""
    missing: str = ""


def published_effects(
    published: Mapping[str, Any] | None, contrasts: Sequence[Contrast], metric: str
) -> dict[str, PublishedEffect]:
    """By contrast name the effect that the table shows; empty without `published`.

    Args:
        published: the ablation's node, plain: `table`, and `rows` by arm.
        contrasts: of the ablation.
        metric: our key, such as `test/top1`.
    """
    if published is None:
        return {}
    table, rows = str(published["table"]), published["rows"]
    return {contrast.name: _effect(contrast, table, rows, metric) for contrast in contrasts}


def check_published(published: Mapping[str, Any], metric: str, where: str) -> None:
    """See that the table is there, and in it a row for each arm that names one.

    Args:
        published: as above.
        metric: our key, such as `test/top1`.
        where: the key that errors name, such as `ablation.published`.

    Raises:
        UserError: one line: no such table or row, a key of several rows, another metric.
    """
    tables = list(dict.fromkeys(result.table for result in results()))
    table = published["table"]
    if table not in tables:
        known = ", ".join(tables)
        raise UserError(f"{where}.table={table}: one of {known}{nearest(str(table), tables)}")
    for arm, key in published["rows"].items():
        row = _find(table, str(key), metric)
        if isinstance(row, str):
            raise UserError(f"{where}.rows.{arm}={key}: {row}")


def _effect(
    contrast: Contrast, table: str, rows: Mapping[str, Any], metric: str
) -> PublishedEffect:
    found: dict[str, Result] = {}
    missing = []
    for arm in contrast.weights:
        row = _find(table, str(rows[arm]), metric) if arm in rows else "no row is named for it"
        if isinstance(row, str):
            missing.append(f"{arm}: {row}")
        else:
            found[arm] = row
    kinds = list(dict.fromkeys((r.metric, r.dataset, r.unit) for r in found.values()))
    if len(kinds) > 1:
        # A difference between two data sets is no effect of what the arms change.
        words = " and ".join(" of ".join(filter(None, kind[:2])) for kind in kinds)
        missing.append(f"the rows differ in more than the arms: {words}")
    if missing:
        return PublishedEffect(None, missing="; ".join(missing))
    name, dataset, unit = kinds[0]
    sign = COMPARABLE[_last(metric)][name]
    values = {arm: sign * _number(row) / 100 for arm, row in found.items()}
    notes = dict.fromkeys(row.note for row in found.values() if row.note)
    return PublishedEffect(contrast.of(values), unit, name, dataset, "; ".join(notes))


def _find(table: str, key: str, metric: str) -> Result | str:
    """The row of `key` whose metric is comparable with ours, or why there is none."""
    if _last(metric) not in COMPARABLE:
        return f"no published metric is comparable with {metric}"
    own = [result for result in results() if result.table == table]
    keyed = [result for result in own if key in _keys(result)]
    if not keyed:
        keys = dict.fromkeys(key for result in own for key in _keys(result))
        return f"{table} has no such row{nearest(key, keys)}"
    same = [
        result
        for result in keyed
        if result.metric in COMPARABLE[_last(metric)] and result.number is not None
    ]
    if not same:
        names = ", ".join(dict.fromkeys(result.metric for result in keyed))
        return f"{table} has {names} of it, which is not {metric}"
    if len(same) > 1:
        _, by_model, by_dataset = zip(*map(_keys, same), strict=True)
        longer = by_model if len(set(by_model)) == len(same) else by_dataset
        return f"several rows of {table}; write {' or '.join(map(repr, longer))}"
    return same[0]


def _keys(result: Result) -> tuple[str, str, str]:
    model = f"{result.model}|{result.setting}"
    return result.setting, model, f"{model}|{result.dataset}"


def _number(result: Result) -> float:
    assert result.number is not None  # _find has seen to it
    return result.number


def _last(metric: str) -> str:
    return metric.rpartition("/")[2]

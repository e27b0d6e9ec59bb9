"""The verb `verify`: every published number beside what the net of that name measures."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch

import torch

from cnnlab.complexity.count import count
from cnnlab.config import compose
from cnnlab.reference import Row, rows

TOLERANCE = 0.01
"""A published number agrees where the measured one is within this share of it."""
BUILD_TOLERANCE = 0.002
"""The same of an independent build, which is exact but for what a count leaves out."""


@dataclass(frozen=True)
class Comparison:
    """One published net and the measured one.

    Attributes:
        row: what is published.
        params_m: measured, in millions.
        gmacs: measured at the row's input size, in billions.
    """

    row: Row
    params_m: float
    gmacs: float

    def differences(self) -> dict[str, float]:
        """(measured - published) / published of each published number."""
        row = self.row
        pairs = {"params": (self.params_m, row.params_m), "macs": (self.gmacs, row.gmacs)}
        return {key: ours / theirs - 1 for key, (ours, theirs) in pairs.items() if theirs}

    def is_the_build(self) -> bool:
        """Whether the net costs what the independent build costs, where there is one."""
        row = self.row
        pairs = ((1e6 * self.params_m, row.measured_params), (1e9 * self.gmacs, row.measured_macs))
        return all(abs(ours / theirs - 1) < BUILD_TOLERANCE for ours, theirs in pairs if theirs)

    @property
    def verdict(self) -> str:
        """`equal` (within 1 %), `uncertain`, `accepted`, `stale` or `DIFFERS`.

        A reason, or a number that is uncertain, excuses the published number, not the net: it must
        still cost what the independent build costs. `stale`: a reason is given for a difference
        that is not there; it fails like `DIFFERS`.
        """
        apart = any(abs(value) > TOLERANCE for value in self.differences().values())
        if not self.is_the_build():
            return "DIFFERS"
        if self.row.accepted:
            return "accepted" if apart else "stale"
        if not apart:
            return "equal" if self.differences() else "nothing published"
        return "uncertain" if self.row.uncertain else "DIFFERS"


def published(pattern: str = "*") -> list[Row]:
    """The rows of nets whose name matches."""
    return [row for row in rows() if row.name and row.input_size and fnmatch(row.model, pattern)]


def compare(found: Iterable[Row]) -> Iterator[Comparison]:
    """Measure the nets of `found`, row by row, on the meta device."""
    return map(measure, found)


def measure(row: Row) -> Comparison:
    """Build the net of `row` by its config and count it at the row's input size."""
    from hydra.utils import instantiate

    assert row.input_size is not None
    model, *words = row.name.split()
    cfg = compose([f"model={model}", *(["task=segmentation"] if words else []), *words]).cfg
    make = instantiate(cfg.model)
    with torch.device("meta"):
        if words:
            net = instantiate(cfg.head, _convert_="all")(make, _classes(row), row.input_size[0])
        else:
            net = make(in_chans=row.input_size[0], num_classes=_classes(row))
    cost = count(net, row.input_size, training="(training)" in row.variant)
    return Comparison(row, cost.params / 1e6, cost.macs / 1e9)


def _classes(row: Row) -> int | None:
    """As the variant says; None: the net's own number."""
    if told := re.search(r"(\d+) classes", row.variant):
        return int(told[1])
    return 0 if "no fc" in row.variant else None


def table(comparisons: Iterable[Comparison]) -> Iterator[str]:
    """The lines of the table, one a row, as they are measured."""
    yield (
        f"{'name':38} {'input':>11} {'params/M published':>19} {'measured':>10} {'diff':>8} "
        f"{'GMACs published':>16} {'measured':>10} {'diff':>8}  verdict"
    )
    for each in comparisons:
        row, apart = each.row, each.differences()
        size = "x".join(map(str, row.input_size or ()))
        yield (
            f"{row.name:38} {size:>11} {_shown(row.params_m):>19} {each.params_m:>10.5g} "
            f"{_percent(apart.get('params')):>8} {_shown(row.gmacs):>16} {each.gmacs:>10.4g} "
            f"{_percent(apart.get('macs')):>8}  {each.verdict}"
            + (f": {row.accepted}" if row.accepted else "")
        )


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:+.2f} %"

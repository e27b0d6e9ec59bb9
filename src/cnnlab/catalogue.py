"""The verb `models`: every named net with deck, paper, cost and knobs, read from its config file.

Nothing is composed and no net is built: the figures stand in the comments of the files, where the
tests hold them against the counter.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml

from cnnlab.config.folder import CONF, choices
from cnnlab.reference import rows

_COST = re.compile(
    r"(?P<params>[\d.,]+)(?P<params_unit> [MG])? parameters, "
    r"(?P<macs>[\d.,]+) (?P<macs_unit>[MG]) MACs at (?P<size>\d+x\d+x\d+)"
)
_SCALE = {" G": 1e3, "G": 1.0, " M": 1.0, "M": 1e-3, None: 1e-6}
_NO_KNOBS = {
    *("_target_", "_partial_", "name", "weights", "image_size", "freeze", "seed", "knobs"),
    "defaults",
}
"""What every file has."""


@dataclass(frozen=True)
class Entry:
    """One file of `conf/model`.

    Attributes:
        name: what `model=` takes.
        about: the file's first comment: what it is, and the paper.
        decks: numbers of the lecture decks that show it or what it inherits from, or "".
        params_m: parameters in millions, or None where the file does not say.
        gmacs: multiply-adds in billions at `input_size`.
        input_size: as `3x224x224`.
        knobs: what the file lists to be turned.
    """

    name: str
    about: str
    decks: str
    params_m: float | None
    gmacs: float | None
    input_size: str
    knobs: tuple[str, ...]

    def is_in(self, deck: str) -> bool:
        """Whether that deck, `2` or `002`, shows it."""
        return deck.zfill(3) in self.decks.split()


def entries(pattern: str, folders: Iterable[Path] = (CONF,)) -> Iterator[Entry]:
    """The nets whose name matches, of all config folders."""
    for folder in folders:
        for name in choices(file.stem for file in (folder / "model").glob("*.yaml")):
            if fnmatch(name, pattern):
                yield _entry(folder / "model", name)


def table(found: Iterable[Entry]) -> Iterator[str]:
    """The lines of a table, one a net."""
    found = list(found)
    width = max((len(entry.name) for entry in found), default=0)
    yield f"{'name':{width}}{'params/M':>10}{'GMACs':>9} {'at':>11}  {'decks':11} knobs; what it is"
    for entry in found:
        params = "-" if entry.params_m is None else f"{entry.params_m:.4g}"
        macs = "-" if entry.gmacs is None else f"{entry.gmacs:.4g}"
        yield (
            f"{entry.name:{width}}{params:>10}{macs:>9} {entry.input_size:>11}  {entry.decks:11} "
            f"{' '.join(entry.knobs) or '-'}; {entry.about}"
        )


def _entry(folder: Path, name: str) -> Entry:
    lineage = list(_lineage(folder, name))
    comments = _comments(lineage[-1])
    cost = _COST.search(" ".join(comments))
    decks = {deck for file in lineage for deck in _decks_of(file)}
    knobs = dict.fromkeys(key for file in lineage for key in _content(file))
    return Entry(
        name=name,
        about=comments[0] if comments else "",
        decks=" ".join(sorted(decks)),
        params_m=_amount(cost["params"], cost["params_unit"]) if cost else None,
        gmacs=_amount(cost["macs"], cost["macs_unit"]) if cost else None,
        input_size=cost["size"] if cost else "-",
        knobs=tuple(key for key in knobs if key not in _NO_KNOBS),
    )


def _lineage(folder: Path, name: str) -> Iterator[Path]:
    """The files that `name` inherits from, the base first, and its own."""
    file = folder / f"{name}.yaml"
    if not file.is_file():
        file = CONF / "model" / f"{name}.yaml"  # a lab's file may inherit from ours
    for base in _content(file).get("defaults", []):
        if isinstance(base, str) and base != "_self_":
            yield from _lineage(folder, base.removeprefix("/model/"))
    yield file


def _content(file: Path) -> dict[str, Any]:
    return yaml.safe_load(file.read_text()) or {}


def _comments(file: Path) -> list[str]:
    """The lines at the head of a file."""
    lines = takewhile(lambda line: line.startswith("#"), file.read_text().splitlines())
    return [line.removeprefix("#").strip() for line in lines]


def _decks_of(file: Path) -> set[str]:
    """Decks of the published rows and of the comment: `deck 2`, `decks 0, 1, 3`, `decks 1-4`."""
    decks = set(_published_decks().get(file.stem, ()))
    for told in re.findall(r"decks? (\d(?:(?:, |-| and )\d)*)", " ".join(_comments(file))):
        numbers = [int(number) for number in re.findall(r"\d", told)]
        span = range(numbers[0], numbers[-1] + 1) if "-" in told else numbers
        decks |= {f"{number:03}" for number in span}
    return decks


def _amount(text: str, unit: str | None) -> float:
    return float(text.rstrip(".").replace(",", "")) * _SCALE[unit]


@cache
def _published_decks() -> dict[str, set[str]]:
    """Of each name: the decks of all rows it stands for."""
    found: dict[str, set[str]] = {}
    for row in rows():
        found.setdefault(row.model, set()).update(row.decks.split(";"))
    return found

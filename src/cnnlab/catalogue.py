"""The verb `models`: every named net with deck, paper, cost and knobs, read from its config file.

Nothing is composed and no net is built: the figures stand in the comments of the files, where the
tests hold them against the counter.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import yaml

from cnnlab.config.folder import CONF, choices
from cnnlab.reference import rows

_COST = re.compile(
    r"(?P<params>[\d.,]+)(?P<params_unit> [MG])? parameters, "
    r"(?P<macs>[\d.,]+) (?P<macs_unit>[MG]) MACs at (?P<size>\d+x\d+x\d+)"
)
_SCALE = {" G": 1e3, "G": 1.0, " M": 1.0, "M": 1e-3, None: 1e-6}
_NO_KNOBS = {"_target_", "_partial_", "name", "weights", "freeze", "seed", "knobs", "defaults"}


@dataclass(frozen=True)
class Entry:
    """One file of `conf/model`.

    Attributes:
        name: what `model=` takes.
        about: the file's first comment: what it is, and the paper.
        decks: numbers of the lecture decks that show it, or "".
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


def entries(pattern: str, folders: Iterable[Path] = (CONF,)) -> Iterator[Entry]:
    """The nets whose name matches, of all config folders."""
    for folder in folders:
        for name in choices(file.stem for file in (folder / "model").glob("*.yaml")):
            if fnmatch(name, pattern):
                yield _entry(folder / "model", name)


def table(found: Iterable[Entry]) -> Iterator[str]:
    """The lines of a table, one a net."""
    yield f"{'name':28}{'params/M':>10}{'GMACs':>9} {'at':>11}  {'decks':11} knobs; what it is"
    for entry in found:
        params = "-" if entry.params_m is None else f"{entry.params_m:.4g}"
        macs = "-" if entry.gmacs is None else f"{entry.gmacs:.4g}"
        yield (
            f"{entry.name:28}{params:>10}{macs:>9} {entry.input_size:>11}  {entry.decks:11} "
            f"{' '.join(entry.knobs) or '-'}; {entry.about}"
        )


def _entry(folder: Path, name: str) -> Entry:
    comments = []
    for line in (folder / f"{name}.yaml").read_text().splitlines():
        if not line.startswith("#"):
            break
        comments.append(line.removeprefix("#").strip())
    cost = _COST.search(" ".join(comments))
    return Entry(
        name=name,
        about=comments[0] if comments else "",
        decks=_decks().get(name, ""),
        params_m=_amount(cost["params"], cost["params_unit"]) if cost else None,
        gmacs=_amount(cost["macs"], cost["macs_unit"]) if cost else None,
        input_size=cost["size"] if cost else "-",
        knobs=tuple(key for key in _keys(folder, name) if key not in _NO_KNOBS),
    )


def _amount(text: str, unit: str | None) -> float:
    return float(text.rstrip(".").replace(",", "")) * _SCALE[unit]


def _keys(folder: Path, name: str) -> dict[str, None]:
    """The keys of a file and of those it inherits from, in the order of the base first."""
    file = folder / f"{name}.yaml"
    if not file.is_file():
        file = CONF / "model" / f"{name}.yaml"  # a lab's file may inherit from ours
    content = yaml.safe_load(file.read_text()) or {}
    found: dict[str, None] = {}
    for base in content.get("defaults", []):
        if isinstance(base, str) and base != "_self_":
            found |= _keys(folder, base.removeprefix("/model/"))
    return found | dict.fromkeys(content)


@cache
def _decks() -> dict[str, str]:
    """Of each name: the decks of all rows it stands for."""
    found: dict[str, set[str]] = {}
    for row in rows():
        found.setdefault(row.name, set()).update(row.decks.split(";"))
    return {name: " ".join(sorted(decks)) for name, decks in found.items() if name}

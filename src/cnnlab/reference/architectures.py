"""The rows of `architectures.csv`."""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class Row:
    """One published net.

    Attributes:
        system: family, as the decks call it.
        variant: which of the family.
        name: what stands for it, as typed after `model=`, or "": a file of `conf/model`, and
            further words where a head belongs to the net.
        decks: numbers of the decks that show it.
        paper: where it is published.
        source: where the numbers were read.
        params_m: published parameters in millions, or None.
        gmacs: published multiply-adds in billions, or None.
        input_size: (C, H, W), or None where the source has none.
        strides: of the feature maps, as text.
        must_write: `yes`, `no` (timm has it), `wrap`, or `ref` (only named in the decks).
        measured_params: parameters of an independent build, or None.
        measured_macs: its multiply-adds, or None.
        uncertain: whether the source or the definition could not be confirmed.
        accepted: why a difference of more than 1 % stands; "" where there is none.
    """

    system: str
    variant: str
    name: str
    decks: str
    paper: str
    source: str
    params_m: float | None
    gmacs: float | None
    input_size: tuple[int, int, int] | None
    strides: str
    must_write: str
    measured_params: float | None
    measured_macs: float | None
    uncertain: bool
    accepted: str

    @property
    def model(self) -> str:
        """The file of `conf/model`, or ""."""
        return self.name.partition(" ")[0]


@cache
def rows() -> tuple[Row, ...]:
    """All rows, in the order of the file."""
    text = files("cnnlab.reference").joinpath("architectures.csv").read_text()
    return tuple(_row(fields) for fields in csv.DictReader(text.splitlines()))


def _row(fields: dict[str, str]) -> Row:
    return Row(
        system=fields["system"],
        variant=fields["variant"],
        name=fields["name"],
        decks=fields["decks"],
        paper=fields["paper"],
        source=fields["source_of_number"],
        params_m=_number(fields["params_M"]),
        gmacs=_number(fields["macs_G"]),
        input_size=_size(fields["input"]),
        strides=fields["feature_strides"],
        must_write=fields["must_write"],
        measured_params=_number(fields["measured_params"]),
        measured_macs=_number(fields["measured_macs"]),
        uncertain=fields["uncertain"] == "yes",
        accepted=fields["accepted"],
    )


def _number(text: str) -> float | None:
    return float(text) if text else None


def _size(text: str) -> tuple[int, int, int] | None:
    parts = text.split("x")
    if len(parts) != 3 or not all(part.isdigit() for part in parts):
        return None
    return int(parts[0]), int(parts[1]), int(parts[2])

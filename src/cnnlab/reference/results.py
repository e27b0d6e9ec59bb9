"""The rows of `results.csv`."""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class Result:
    """One published figure.

    Attributes:
        table: which table of the decks, such as `T01_resnext_groups`.
        deck: number of the deck that prints it, `000` to `003`.
        deck_line: line of the deck's text.
        model: as the source calls it.
        setting: what sets the row apart from others of that model; may be "".
        dataset: data and split; may be "".
        metric: as the source calls it, such as `top1_error`.
        value: as printed.
        unit: `%`, `points`, `M` ...; may be "".
        note: where the source deviates or how it was measured; may be "".
    """

    table: str
    deck: str
    deck_line: int
    model: str
    setting: str
    dataset: str
    metric: str
    value: str
    unit: str
    note: str

    @property
    def number(self) -> float | None:
        """The value; None where the source prints words (`~TB/PB`, `227x227x3`, `true`)."""
        try:
            return float(self.value)
        except ValueError:
            return None


@cache
def results() -> tuple[Result, ...]:
    """All rows, in the order of the file."""
    text = files("cnnlab.reference").joinpath("results.csv").read_text(encoding="utf-8")
    return tuple(_result(fields) for fields in csv.DictReader(text.splitlines()))


def _result(fields: dict[str, str]) -> Result:
    return Result(
        table=fields["table_id"],
        deck=fields["deck"],
        deck_line=int(fields["deck_line"]),
        model=fields["model"],
        setting=fields["setting"],
        dataset=fields["dataset"],
        metric=fields["metric"],
        value=fields["value"],
        unit=fields["unit"],
        note=fields["note"],
    )

"""Any set of images that a table lists."""

from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from cnnlab.data.csv_rows import SPLITS, Row, read_rows
from cnnlab.data.file_set import FileSet
from cnnlab.data.image_files import Listing
from cnnlab.data.module import Splits
from cnnlab.data.names import Names
from cnnlab.errors import UserError


class CsvList(FileSet):
    """The images that `file` lists in the columns path, label and perhaps split.

    Labels with `|` between them make it a multi-label set: an image may have any number of classes,
    none too. What has no rows is held out of train: `val_fraction` and `test_fraction`; with
    `test_fraction` 0, test is val.
    """

    tasks: ClassVar[tuple[str, ...]] = ("classification", "multilabel")

    def __init__(self, *, file: str, test_fraction: float, **files: Any) -> None:
        super().__init__(**files)
        self.file, self.test_fraction = Path(file).expanduser(), test_fraction

    def read(self) -> Splits:
        rows = read_rows(self.file, self.root)
        several = any(len(row.labels) > 1 for row in rows)
        classes = class_names(rows)
        ids = {name: i for i, name in enumerate(classes)}
        listings = {}
        for split in SPLITS:
            if own := [row for row in rows if row.split == split]:
                listings[split] = Listing(
                    Names.of(r.path for r in own), _targets(own, ids, several)
                )
        if "train" not in listings:
            raise UserError(f"{self.file} has no rows whose split is train")
        labels = {label for row in rows if row.split == "train" for label in row.labels}
        if lacking := [name for name in classes if name not in labels]:
            raise UserError(
                f"{self.file}: {len(lacking)} classes have no image in train: "
                f"{', '.join(lacking[:10])}"
            )
        return self.splits_of(listings, classes, self.test_fraction)


def class_names(rows: list[Row]) -> list[str]:
    """All labels, in order: by value where all are whole numbers, else by letter."""
    labels = {label for row in rows for label in row.labels}
    numbers = all(label.isascii() and label.isdigit() for label in labels)
    return sorted(labels, key=int) if numbers else sorted(labels)


def _targets(rows: list[Row], ids: dict[str, int], several: bool) -> Tensor:
    """Int64 `(N,)`, or float `(N, K)` of 0 and 1."""
    if not several:
        return torch.tensor([ids[row.labels[0]] for row in rows])
    targets = torch.zeros(len(rows), len(ids))
    for i, row in enumerate(rows):
        targets[i, [ids[label] for label in row.labels]] = 1
    return targets

"""What a detector's test says of each class, as a table."""

import math
from collections.abc import Mapping, Sequence
from typing import Any


def detection_table(
    results: Mapping[str, Any], classes: Sequence[str]
) -> tuple[list[str], list[list[Any]]]:
    """Columns, and a row a class: objects, average precision, errors by kind; None: no figure.

    Args:
        results: `test/objects_per_class`, `test/map_per_class`, `test/map50_per_class` `(K,)` and
            `test/errors_per_class` `{kind: (K,)}`.
        classes: names by id.
    """
    errors = results["test/errors_per_class"]
    figures = [results[f"test/{key}_per_class"] for key in ("objects", "map", "map50")]
    columns = ["class", "objects", "map", "map50", *errors]
    rows = [
        [None if isinstance(value, float) and math.isnan(value) else value for value in row]
        for row in zip(classes, *figures, *errors.values(), strict=True)
    ]
    return columns, rows

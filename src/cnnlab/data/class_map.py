"""Which value of a mask is which class."""

from collections.abc import Mapping
from difflib import get_close_matches

import numpy as np

from cnnlab.errors import UserError
from cnnlab.pixels import IGNORE

IGNORED = "ignore"
"""The name in `data.values` of pixels that count neither in a loss nor in a metric."""

_UNKNOWN = 254
_VALUES = 2**16  # of 16-bit masks


class UnknownValueError(Exception):
    """A mask has values that stand for nothing; the text lists them."""


class ClassMap:
    """From the raw values of masks to class ids; nothing is guessed.

    Args:
        values: raw value -> name of the class, or `ignore`. Ids follow the order in which names
            first come; several values may share a name.

    Attributes:
        values: as given.
        classes: the names, by id.

    Raises:
        UserError: fewer than two classes are left, too many, a name that is nearly `ignore`, or a
            value that no mask can have.
    """

    def __init__(self, values: Mapping[int, str]) -> None:
        self.values = dict(values)
        for value in values:
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _VALUES:
                raise UserError(
                    f"data.values: {value!r} is no value of a mask; they are 0 to {_VALUES - 1}"
                )
        self.classes = [c for c in dict.fromkeys(values.values()) if c != IGNORED]
        if not self.classes:
            raise UserError(f"data.values={self.values}: no class is left after '{IGNORED}'")
        if len(self.classes) == 1:
            raise UserError(f"data.values={self.values}: one class alone is nothing to tell apart")
        for name in self.classes:
            if get_close_matches(name.casefold(), [IGNORED], cutoff=0.85):
                raise UserError(
                    f"data.values: '{name}' would be a class; did you mean '{IGNORED}'?"
                )
        if len(self.classes) > _UNKNOWN:
            raise UserError(f"data.values: {len(self.classes)} classes; at most {_UNKNOWN}")
        ids = {name: i for i, name in enumerate(self.classes)} | {IGNORED: IGNORE}
        self._table = np.full(_VALUES, _UNKNOWN, np.uint8)
        for value, name in values.items():
            self._table[value] = ids[name]

    def __call__(self, raw: np.ndarray) -> np.ndarray:
        """Uint8 or uint16 `(H, W)` -> class ids, uint8 `(H, W)`, 255 where ignored.

        Raises:
            UnknownValueError: listing the values that are not in the map.
        """
        ids: np.ndarray = self._table[raw]
        if (ids == _UNKNOWN).any():
            unknown = [int(v) for v in np.unique(raw) if self._table[v] == _UNKNOWN]
            more = ", ..." if len(unknown) > 10 else ""
            raise UnknownValueError(", ".join(map(str, unknown[:10])) + more)
        return ids

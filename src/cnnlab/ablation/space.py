"""What `python -m cnnlab tune` searches: a range or a list of values for each key."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from cnnlab.config import Composed, keys, schema, to_plain
from cnnlab.config.words import word
from cnnlab.errors import UserError

LOG, CHOICE = "log", "choice"
"""The last item of a list: the range is logarithmic; two numbers are all there is between."""
_NOT_SEARCHED = (*schema.OF_SEVERAL, "seed", "name", "runs", "resume", "hydra", "logger", "tags")


@dataclass(frozen=True)
class Range:
    """All numbers from low to high, both included.

    Attributes:
        log: whether orders of magnitude are equally likely.
        whole: whether they are whole numbers.
    """

    low: float
    high: float
    log: bool
    whole: bool

    @property
    def ends(self) -> list[Any]:
        return [self.low, self.high]


@dataclass(frozen=True)
class OneOf:
    """One of some values: numbers, words, or the files of a config group."""

    values: list[Any]

    @property
    def ends(self) -> list[Any]:
        return self.values


Dimension = Range | OneOf


def read(
    node: Any,
    typed: list[str],
    composed_with: Callable[[list[str]], Composed],
    is_group: Callable[[str], bool],
) -> dict[str, Dimension]:
    """The space that a plain value stands for.

    `[low, high]` and `[low, high, log]` are ranges, of whole numbers where the bounds and the
    config's own value are whole; `[a, b, choice]` and all other lists are values to choose from.
    Every bound and value is composed and checked, with the first of all others.

    Args:
        node: what was typed as `space`.
        typed: keys that were typed for all trials.
        composed_with: composes and checks the trials' words and these.
        is_group: whether a key is a config group.

    Raises:
        UserError: begins with `space`, names the key.
    """
    if not isinstance(node, Mapping) or not node:
        raise UserError(
            f"space={node}: must be what to search: 'space={{optimizer.lr: [1e-4, 1e-1, log]}}'"
        )
    for key in node:
        if str(key).split(".")[0] in _NOT_SEARCHED:
            raise UserError(f"space.{key}: cannot be searched")
        if key in typed:
            raise UserError(f"space.{key}: was typed for all trials, too; leave one out")
    raw = {str(key): _read(f"space.{key}", value) for key, value in node.items()}
    # Files first: they decide which keys there are.
    groups = {key: one for key, one in raw.items() if is_group(key)}
    plain = to_plain(_checked("space", [_first(k, g) for k, g in groups.items()], composed_with))
    found: dict[str, Dimension] = {}
    for key, one in raw.items():
        if key not in groups and not keys.exists(plain, key):
            raise UserError(f"space.{keys.unknown(plain, key)}")
        if isinstance(one, Range) and key not in groups:
            one = _of_config(f"space.{key}", one, keys.get(plain, key))
        found[key] = one
    for key, one in found.items():
        others = [_first(other, its) for other, its in found.items() if other != key]
        for value in one.ends:
            _checked(f"space.{key}", [*others, word(key, value)], composed_with)
    return found


def to_text(space: Mapping[str, Dimension]) -> dict[str, str]:
    """Equal for equal spaces."""
    return {key: str(one) for key, one in space.items()}


def _read(key: str, value: Any) -> Dimension:
    if not isinstance(value, list) or len(value) < 2:
        raise UserError(
            f"{key}={value}: must be [LOW, HIGH], [LOW, HIGH, log], or a list of values"
        )
    last = value[-1]
    if last == CHOICE:
        return _values(key, value[:-1])
    numbers = value[:-1] if last == LOG else value
    if len(numbers) == 2 and all(map(_is_number, numbers)):
        low, high = numbers
        if not (isfinite(low) and isfinite(high)):
            raise UserError(f"{key}={value}: the bounds must be finite")
        if low >= high:
            raise UserError(f"{key}={value}: the lower bound comes first, and is not the other")
        if last == LOG and low <= 0:
            raise UserError(f"{key}={value}: a range by orders of magnitude begins above 0")
        return Range(low, high, last == LOG, isinstance(low, int) and isinstance(high, int))
    if last == LOG:
        raise UserError(f"{key}={value}: 'log' goes with two numbers: [1e-4, 1e-1, log]")
    return _values(key, value)


def _values(key: str, values: list[Any]) -> OneOf:
    if len(values) < 2:
        raise UserError(f"{key}={values}: needs two values at least")
    for i, value in enumerate(values):
        if isinstance(value, list | dict):
            raise UserError(f"{key}={value}: must be a number, a word, true, false or null")
        if value in values[:i]:
            raise UserError(f"{key}={values}: {value} stands there twice")
    return OneOf(values)


def _of_config(key: str, given: Range, value: Any) -> Range:
    """Whole numbers only where the config has one, or none."""
    if isinstance(value, bool | str | list | dict):
        raise UserError(
            f"{key}=[{given.low}, {given.high}]: is {value} in the config, so it has no range; "
            "list its values"
        )
    if isinstance(value, int) and not given.whole:
        raise UserError(
            f"{key}=[{given.low}, {given.high}]: is a whole number ({value}), so its bounds must be"
        )
    if not given.whole or not isinstance(value, float):
        return given
    return Range(float(given.low), float(given.high), given.log, whole=False)


def _first(key: str, one: Dimension) -> str:
    return word(key, one.ends[0])


def _checked(key: str, words: list[str], composed_with: Callable[[list[str]], Composed]) -> Any:
    try:
        return composed_with(words).cfg
    except UserError as error:
        first = str(error).splitlines()[0]
        raise UserError(f"{key}: {first}") from error


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

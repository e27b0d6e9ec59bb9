"""Absolute paths, taken out of a record into one place, so that the rest names no machine."""

import re
from collections.abc import Callable, Mapping
from typing import Any

_ANOTHER = r"(?![\s=:,(]/)"
"""Where a second path begins."""
# After a quote, bracket, separator or blank; a URL's // is none. Quotes may hold blanks.
_ABSOLUTE = re.compile(
    rf"(?<=')/(?!/)(?:{_ANOTHER}[^'\n])+(?=')|(?<=\")/(?!/)(?:{_ANOTHER}[^\"\n])+(?=\")"
    r"|(?<![^\s=:,'\"(\[{])/(?!/)[^\s,:'\"()\[\]{}]+"
)
# `/home/Carol Smith/x`, `data.root=/home/Carol Smith/x`; in `/x.pt: all loaded` a text follows.
_WHOLE = re.compile(rf"([\w.@+~-]+=)?(/(?!/)(?:{_ANOTHER}(?![:,]\s)[^'\"\[\]{{}}\n])+)")


class MachinePaths:
    """Replaces absolute paths by `$PATH1`, `$PATH2`, ...

    Attributes:
        table: what each stands for.
    """

    def __init__(self) -> None:
        self.table: dict[str, str] = {}
        self._names: dict[str, str] = {}

    def take(self, value: Any) -> Any:
        """The same containers with every absolute path replaced and remembered."""
        return replace_paths(value, self._name)

    def _name(self, path: str) -> str:
        if path not in self._names:
            self._names[path] = f"$PATH{len(self._names) + 1}"
            self.table[self._names[path]] = path
        return self._names[path]


def replace_paths(value: Any, name: Callable[[str], str]) -> Any:
    """The same containers with `name(path)` in place of every absolute path."""
    if isinstance(value, Mapping):
        return {key: replace_paths(item, name) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [replace_paths(item, name) for item in value]
    if not isinstance(value, str):
        return value
    if whole := _WHOLE.fullmatch(value):
        return (whole[1] or "") + name(whole[2])
    return _ABSOLUTE.sub(lambda match: name(match[0]), value)


def restore(value: Any, table: Mapping[str, str]) -> Any:
    """Put the paths of `table` back."""
    if isinstance(value, Mapping):
        return {key: restore(item, table) for key, item in value.items()}
    if isinstance(value, list):
        return [restore(item, table) for item in value]
    if not isinstance(value, str) or "$PATH" not in value:
        return value
    return re.sub(r"\$PATH\d+", lambda match: table.get(match[0], match[0]), value)

"""Absolute paths, taken out of a record into one place, so that the rest names no machine."""

import hashlib
import os
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
_ELSEWHERE = re.compile(r"(?<=://)/+[^\s,:'\"()\[\]{}]+|\b[A-Za-z]:\\[^\s,'\"]+")
"""Absolute paths that no run folder has under `machine`: in URLs of files, on Windows."""
LABEL = "$PATH-"
"""Begins what stands for a path in a record that is shared."""


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
    if not isinstance(value, str) or "/" not in value:
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


def label_paths(value: Any, base: str | None) -> Any:
    """The same containers without absolute paths, as records are shared.

    A path below the folder `base` becomes relative to it, any other LABEL and the beginning of its
    hash: the same path has the same label in every record, so that settings stay comparable.
    """

    def label(path: str) -> str:
        if base and (path == base or path.startswith(base.rstrip("/") + "/")):
            return os.path.relpath(path, base)
        return f"{LABEL}{hashlib.sha256(path.encode()).hexdigest()[:8]}"

    return change_texts(
        replace_paths(value, label), lambda text: _ELSEWHERE.sub(lambda m: label(m[0]), text)
    )


def change_texts(value: Any, change: Callable[[str], str]) -> Any:
    """The same containers with `change` of every text."""
    if isinstance(value, Mapping):
        return {key: change_texts(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [change_texts(item, change) for item in value]
    return change(value) if isinstance(value, str) else value

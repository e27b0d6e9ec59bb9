"""Python modules as syntax trees: found on the import path, parsed, never imported."""

import ast
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple


class Binding(NamedTuple):
    """What a name at the top level of a module stands for."""

    node: ast.stmt | ast.expr | None
    """A class, a function, or the value assigned; None where it is imported."""
    module: str = ""
    """Where it is imported from, as a full dotted name."""
    name: str = ""
    """Its name there; empty for `import x`, which binds a module."""


@dataclass(frozen=True)
class Module:
    """One file of Python."""

    name: str
    file: Path = field(compare=False)
    mtime_ns: int
    """Part of the identity, so that a file edited in a notebook session is read again."""

    @property
    def is_package(self) -> bool:
        """Whether it is a folder of modules, with or without an `__init__.py`."""
        return self.file.name == "__init__.py" or self.file.is_dir()

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree; empty for a file that is no Python, and for a folder without a file."""
        try:
            return ast.parse(self.file.read_bytes())
        except (SyntaxError, ValueError, OSError):
            return ast.parse("")

    @cached_property
    def bindings(self) -> dict[str, Binding]:
        """The names that the top level binds, star imports aside."""
        found: dict[str, Binding] = {}
        for node in _statements(self.tree.body):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                found[node.name] = Binding(node)
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    bound = alias.asname or alias.name.partition(".")[0]
                    found[bound] = Binding(None, alias.name if alias.asname else bound)
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    bound = alias.asname or alias.name
                    found[bound] = Binding(None, self.absolute(node), alias.name)
            elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names = [name for target in targets for name in ast.walk(target)]
                stored = [
                    n for n in names if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
                ]
                found |= {name.id: Binding(node.value) for name in stored}
        found.pop("*", None)
        return found

    @cached_property
    def stars(self) -> list[str]:
        """The modules of its `from x import *`, the last first."""
        imports = [n for n in _statements(self.tree.body) if isinstance(n, ast.ImportFrom)]
        return [self.absolute(n) for n in reversed(imports) if n.names[0].name == "*"]

    @cached_property
    def is_dynamic(self) -> bool:
        """Whether the module may hold names that no statement of it shows."""
        names = {node.id for node in ast.walk(self.tree) if isinstance(node, ast.Name)}
        return "__getattr__" in self.bindings or not names.isdisjoint({"globals", "vars"})

    def absolute(self, node: ast.ImportFrom) -> str:
        """The full name of the module that a `from` import names."""
        if not node.level:
            return node.module or ""
        parts = self.name.split(".")
        parts = parts[: len(parts) - node.level + self.is_package]
        return ".".join(parts + ([node.module] if node.module else []))


def module(name: str) -> Module | None:
    """The module `name`, or None where there is no such file of Python.

    Packages above it are found as folders, so nothing is imported.
    """
    first, *rest = name.split(".")
    file = _file(_places(first), first)
    for part in rest:
        if file is None or (file.suffix and file.name != "__init__.py"):
            return None
        file = _file((str(file.parent if file.suffix else file),), part)
    return _module(name, file, file.stat().st_mtime_ns) if file else None


def _places(name: str) -> tuple[str, ...]:
    """The folders that hold the top-level package or module `name`; finding it imports nothing."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return ()
    if spec is None:
        return ()
    origin = [spec.origin] if spec.has_location and spec.origin else []
    found = list(spec.submodule_search_locations or origin)
    return tuple(str(Path(place).parent) for place in found)


def _file(places: tuple[str, ...], name: str) -> Path | None:
    for form in (f"{name}/__init__.py", f"{name}.py"):
        for place in places:
            if Path(place, form).is_file():
                return Path(place, form)
    folders = [Path(place, name) for place in places if Path(place, name).is_dir()]
    return folders[0] if folders else None


@lru_cache(maxsize=256)
def _module(name: str, file: Path, mtime_ns: int) -> Module:
    return Module(name, file, mtime_ns)


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run when the module is imported, those inside `if`, `try`, `with` too."""
    for node in body:
        if isinstance(node, ast.If):
            if "TYPE_CHECKING" not in ast.dump(node.test):
                yield from _statements(node.body)
            yield from _statements(node.orelse)
        elif isinstance(node, ast.Try):
            for part in (node.body, *(h.body for h in node.handlers), node.orelse, node.finalbody):
                yield from _statements(part)
        elif isinstance(node, ast.With):
            yield from _statements(node.body)
        else:
            yield node

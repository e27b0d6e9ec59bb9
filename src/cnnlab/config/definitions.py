"""Where a dotted name is defined: the class or function behind it, without importing anything."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from cnnlab.config import source
from cnnlab.config.allowed import PREFIXES, is_allowed
from cnnlab.config.source import Module
from cnnlab.errors import nearest

ROOTS = {"object", "ABC", "Protocol", "Generic", "TypedDict", "nn.Module", "torch.nn.Module"}
ROOTS |= {"Callback", "LightningModule", "LightningDataModule"}
"""Bases without arguments, known by name: it takes time to read their long files."""


class Refused(Exception):
    """The name leads to something that a config may not call; says what."""


class Missing(Exception):
    """There is no such name; says where it was looked for and what was meant."""


class Unresolved(Exception):
    """The syntax trees do not tell; only an import could."""


@dataclass(frozen=True)
class Definition:
    """A class or function, and the module whose names it uses."""

    module: Module
    node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef

    @property
    def name(self) -> str:
        """The full dotted name of where it is defined."""
        return f"{self.module.name}.{self.node.name}"


def find(target: str) -> Definition:
    """The definition that Hydra would call for `target`, if only allowed modules lead to it.

    Raises:
        Refused: it is a module, a value, or something imported from outside the allowlist.
        Missing: there is no such name.
        Unresolved: the package makes its names at run time.
    """
    parts = target.split(".")
    where, depth = source.module(parts[0]), 1
    if where is None:
        raise Missing(f"there is no package '{parts[0]}' installed or on PYTHONPATH")
    while depth < len(parts):
        below = source.module(".".join(parts[: depth + 1]))
        is_last = depth == len(parts) - 1
        if below is None or (is_last and parts[depth] in where.bindings):
            break
        where, depth = below, depth + 1
    if depth == len(parts):
        raise Refused("it is a module, not a class or function")
    found = lookup(where, parts[depth], guarded=target not in PREFIXES)
    for name in parts[depth + 1 :]:
        method = member(found, name)
        if method is None:
            raise Refused(f"'{name}' is no method of {found.name}")
        found = Definition(*method)
    return found


def lookup(
    where: Module, name: str, guarded: bool = False, seen: frozenset[tuple[str, str]] = frozenset()
) -> Definition:
    """The class or function that `name` stands for in a module, through imports and aliases.

    With `guarded` every step of the way must lie under the allowlist.

    Raises:
        Refused, Missing, Unresolved: as `find`.
    """
    if (where.name, name) in seen:
        raise Unresolved
    seen |= {(where.name, name)}
    binding = where.bindings.get(name)
    if binding is None:
        return _through_stars(where, name, guarded, seen)
    if isinstance(binding.node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return Definition(where, binding.node)
    if isinstance(binding.node, ast.Name):
        return lookup(where, binding.node.id, guarded, seen)
    if binding.node is not None:
        raise Refused(f"{where.name}.{name} is a value, not a class or function")
    if not binding.name:
        raise Refused(f"'{name}' in {where.name} is the imported module {binding.module}")
    if guarded and not is_allowed(f"{binding.module}.{binding.name}"):
        raise Refused(f"{where.name} only imports it from {binding.module}, which is not allowed")
    origin = source.module(binding.module)
    if origin is None:
        raise Unresolved
    is_itself = origin is where and binding.name == name  # from . import name, in a package
    if (is_itself or binding.name not in origin.bindings) and source.module(
        f"{origin.name}.{binding.name}"
    ):
        raise Refused(f"'{name}' in {where.name} is the imported module {binding.name}")
    return lookup(origin, binding.name, guarded, seen)


def _through_stars(
    where: Module, name: str, guarded: bool, seen: frozenset[tuple[str, str]]
) -> Definition:
    for star in where.stars:
        origin = source.module(star)
        if origin is None or (guarded and not is_allowed(f"{star}.{name}")):
            continue
        try:
            return lookup(origin, name, guarded, seen)
        except Missing:
            continue
    if where.is_dynamic:
        raise Unresolved
    raise Missing(f"{where.name} has no '{name}'{nearest(name, where.bindings)}")


def bases(of: Definition) -> Iterator[Definition | None]:
    """The base classes as they are written, but for `ROOTS`; None for one that cannot be found."""
    if isinstance(of.node, ast.ClassDef):
        for base in of.node.bases:
            if plain_name(base) not in ROOTS:
                try:
                    yield evaluate(of.module, base)
                except (Refused, Missing, Unresolved):
                    yield None


def plain_name(node: ast.expr) -> str:
    """`Generic` of `Generic[T]`, `dataclasses.dataclass` of `dataclasses.dataclass(...)`."""
    node = node.func if isinstance(node, ast.Call) else node
    return ast.unparse(node.value if isinstance(node, ast.Subscript) else node)


def evaluate(where: Module, expression: ast.expr) -> Definition:
    """The class that `Name`, `module.Name` or `Name[...]` stands for in a module.

    Raises:
        Refused, Missing, Unresolved: as `find`.
    """
    if isinstance(expression, ast.Subscript):
        return evaluate(where, expression.value)
    if isinstance(expression, ast.Name):
        return lookup(where, expression.id)
    if isinstance(expression, ast.Attribute):
        origin = _module(where, expression.value)
        if origin is not None:
            return lookup(origin, expression.attr)
    raise Unresolved


def _module(where: Module, expression: ast.expr) -> Module | None:
    """The module that `torch.nn` or an alias of it stands for."""
    if isinstance(expression, ast.Attribute):
        parent = _module(where, expression.value)
        return source.module(f"{parent.name}.{expression.attr}") if parent else None
    binding = where.bindings.get(expression.id) if isinstance(expression, ast.Name) else None
    if binding is None or binding.node is not None:
        return None
    return source.module(f"{binding.module}.{binding.name}".rstrip("."))


def member(
    of: Definition, name: str
) -> tuple[Module, ast.FunctionDef | ast.AsyncFunctionDef] | None:
    """The method `name` of a class, its own or inherited.

    Raises:
        Unresolved: it may be inherited from a base that cannot be found.
    """
    if not isinstance(of.node, ast.ClassDef):
        return None
    own = [n for n in of.node.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    for node in reversed(own):
        if node.name == name:
            return of.module, node
    for base in bases(of):
        if base is None:
            raise Unresolved
        found = member(base, name)
        if found:
            return found
    return None

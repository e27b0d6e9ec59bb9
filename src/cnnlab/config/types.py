"""Whether a plain value fits an annotation that is read as a syntax tree."""

import ast
from collections.abc import Iterator
from typing import Any

from cnnlab.config.allowed import own_packages, under
from cnnlab.config.definitions import Definition
from cnnlab.config.signature import fields, is_record
from cnnlab.config.source import Module, module
from cnnlab.errors import nearest

_SCALARS: dict[str, tuple[str, tuple[type, ...]]] = {
    "int": ("a whole number", (int,)),
    "float": ("a number", (int, float)),
    "str": ("text", (str,)),
    "bool": ("true or false", (bool,)),
    "None": ("null", (type(None),)),
    "Path": ("a path", (str,)),
}
_LISTS = {"list", "List", "tuple", "Tuple", "Sequence", "Iterable", "Collection", "set"}
_DICTS = {"dict", "Dict", "Mapping", "MutableMapping"}
_WRAPPERS = {"Annotated", "Required", "NotRequired", "Final", "ClassVar", "InitVar"}


def faults(key: str, value: Any, annotation: ast.expr | None, where: Module) -> Iterator[str]:
    """One line for each part of `value` that does not fit `annotation`, as read in `where`.

    Names that are not followed (third-party classes, tensors) fit anything; so does a dict with a
    `_target_`, which is judged by what it makes.
    """
    if annotation is None or (isinstance(value, dict) and "_target_" in value):
        return
    options = list(_options(annotation, where))
    if any(fits(value, option, place) for option, place in options):
        return
    for option, place in options:
        record = _record(option, place)
        if record and isinstance(value, dict):
            yield from record_faults(key, value, record)
            return
    for option, place in options:
        inner = list(_item_faults(key, value, option, place))
        if inner:
            yield from inner
            return
    names = [str(name) for option, _ in options for name in _literals(option)]
    allowed = " or ".join(dict.fromkeys(describe(option, place) for option, place in options))
    quote = f"; text is quoted twice: {key}='\"{value}\"'" if _is_unquoted(value, options) else ""
    near = nearest(value, names) if isinstance(value, str) else ""
    yield f"{key}={written(value)}: must be {allowed}{near}{quote}"


def fits(value: Any, annotation: ast.expr, where: Module) -> bool:
    """Whether `value` fits one option of an annotation, all the way down."""
    name = _name(annotation)
    if name in _SCALARS:
        kinds = _SCALARS[name][1]
        return isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))
    if name == "Literal":
        # True == 1 in Python, not in a config
        return any(value == x and type(value) is type(x) for x in _literals(annotation))
    items = _items(annotation)
    if name in _LISTS:
        if not isinstance(value, list):
            return False
        kinds_of = _item_annotations(name, items, len(value))
        return kinds_of is not None and all(
            not list(faults("", item, kind, where))
            for item, kind in zip(value, kinds_of, strict=True)
        )
    if name in _DICTS:
        return isinstance(value, dict) and (
            len(items) != 2 or all(not list(faults("", v, items[1], where)) for v in value.values())
        )
    record = _record(annotation, where)
    if record:
        return isinstance(value, dict) and not list(record_faults("", value, record))
    return True


def describe(annotation: ast.expr, where: Module) -> str:
    """An option of an annotation in words."""
    name = _name(annotation)
    if name in _SCALARS:
        return _SCALARS[name][0]
    if name == "Literal":
        return " or ".join(written(value) for value in _literals(annotation))
    items = [item for item in _items(annotation) if not _is_ellipsis(item)]
    inside = [
        " or ".join(describe(option, place) for option, place in _options(item, where))
        for item in items
    ]
    if name in {"tuple", "Tuple"} and len(items) == len(_items(annotation)) and items:
        return f"a list of {len(items)}: {', '.join(inside)}"
    if name in _LISTS:
        anything = not items or _name(items[0]) == "Any"
        return "a list" if anything else f"a list, each {inside[0]}"
    return "a dict"


def written(value: Any) -> str:
    """A value as it is written in YAML."""
    return (
        str(value).lower() if isinstance(value, bool) else "null" if value is None else str(value)
    )


def record_faults(key: str, value: dict[str, Any], record: Definition) -> Iterator[str]:
    """One line for each fault of a dict that stands for a dataclass or TypedDict."""
    known, prefix = fields(record), f"{key}." if key else ""
    for name, item in value.items():
        if name in known:
            yield from faults(f"{prefix}{name}", item, known[name].annotation, known[name].module)
        else:
            there = "" if (near := nearest(str(name), known)) else f"; there are {', '.join(known)}"
            yield f"{prefix}{name}: no such config key{near}{there}"
    for name in known:
        if known[name].required and name not in value:
            yield f"{prefix}{name}: missing"


def _item_faults(key: str, value: Any, annotation: ast.expr, where: Module) -> Iterator[str]:
    """The faults inside a dict, and of the records in a list, which one line for all would hide."""
    items = _items(annotation)
    if _name(annotation) in _DICTS and isinstance(value, dict) and len(items) == 2:
        for name, part in value.items():
            yield from faults(f"{key}.{name}", part, items[1], where)
    elif _name(annotation) in _LISTS and isinstance(value, list) and items:
        for i, part in enumerate(value):
            for option, place in _options(items[0], where):
                record = _record(option, place)
                if record and isinstance(part, dict):
                    yield from record_faults(f"{key}.{i}", part, record)


def _options(annotation: ast.expr, where: Module) -> Iterator[tuple[ast.expr, Module]]:
    """The members of a union, aliases and quotation marks taken away."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        yield from _options(ast.parse(annotation.value, mode="eval").body, where)
    elif isinstance(annotation, ast.BinOp):
        yield from _options(annotation.left, where)
        yield from _options(annotation.right, where)
    elif isinstance(annotation, ast.Subscript) and _name(annotation) in {"Union", "Optional"}:
        for item in _items(annotation):
            yield from _options(item, where)
        if _name(annotation) == "Optional":
            yield ast.Constant(None), where
    elif isinstance(annotation, ast.Subscript) and _name(annotation) in _WRAPPERS:
        yield from _options(_items(annotation)[0], where)
    else:
        alias = _alias(annotation, where)
        if alias:
            yield from _options(*alias)
        else:
            yield annotation, where


def _alias(annotation: ast.expr, where: Module) -> tuple[ast.expr, Module] | None:
    """`Size = int | Literal["same"]`, here or where the name is imported from."""
    name = annotation.id if isinstance(annotation, ast.Name) else ""
    found = _follow(name, where)
    return (found[0], found[1]) if found and isinstance(found[0], ast.expr) else None


def _record(annotation: ast.expr, where: Module) -> Definition | None:
    name = annotation.id if isinstance(annotation, ast.Name) else ""
    found = _follow(name, where)
    if found and isinstance(found[0], ast.ClassDef):
        definition = Definition(found[1], found[0])
        return definition if is_record(definition) else None
    return None


def _follow(name: str, where: Module) -> tuple[ast.AST, Module] | None:
    """What `name` stands for in a module of our own; third-party names are not followed."""
    for _ in range(10):
        binding = where.bindings.get(name) if under(where.name, own_packages()) else None
        if binding is None:
            return None
        if binding.node is not None:
            return binding.node, where
        origin = module(binding.module) if binding.name else None
        if origin is None:
            return None
        name, where = binding.name, origin
    return None


def _name(annotation: ast.expr) -> str:
    """`Literal` of `typing.Literal[...]`; `None` of None."""
    if isinstance(annotation, ast.Subscript):
        return _name(annotation.value)
    if isinstance(annotation, ast.Attribute):
        return annotation.attr
    if isinstance(annotation, ast.Constant) and annotation.value is None:
        return "None"
    return annotation.id if isinstance(annotation, ast.Name) else ""


def _items(annotation: ast.expr) -> list[ast.expr]:
    if not isinstance(annotation, ast.Subscript):
        return []
    inside = annotation.slice
    return list(inside.elts) if isinstance(inside, ast.Tuple) else [inside]


def _item_annotations(name: str, items: list[ast.expr], count: int) -> list[ast.expr] | None:
    """The annotation of each of `count` items; None where a tuple has another length."""
    if not items:
        return [ast.Name("Any")] * count
    if name in {"tuple", "Tuple"} and not _is_ellipsis(items[-1]):
        return items if len(items) == count else None
    return [items[0]] * count


def _is_ellipsis(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...


def _literals(annotation: ast.expr) -> list[Any]:
    if _name(annotation) != "Literal":
        return []
    return [item.value for item in _items(annotation) if isinstance(item, ast.Constant)]


def _is_unquoted(value: Any, options: list[tuple[ast.expr, Module]]) -> bool:
    """A number where text is wanted: the shell took the quotes away."""
    texts = any(_name(option) == "str" for option, _ in options)
    return texts and isinstance(value, int | float) and not isinstance(value, bool)

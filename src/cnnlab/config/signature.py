"""What may be given to a class or function, read from its source."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from cnnlab.config.definitions import Definition, bases, evaluate, plain_name
from cnnlab.config.source import Module


@dataclass(frozen=True)
class Parameter:
    """One argument."""

    annotation: ast.expr | None
    module: Module
    """Where the annotation is to be read."""
    required: bool


@dataclass
class Signature:
    """The arguments of one call."""

    positional: dict[str, Parameter] = field(default_factory=dict)
    """Those before `*`: in cnnlab's own targets the program gives them (the star rule)."""
    keyword: dict[str, Parameter] = field(default_factory=dict)
    """Those after `*`."""
    is_open: bool = False
    """Whether any other name is accepted, or nothing can be said."""


def signature(of: Definition) -> Signature:
    """The signature of a call to `of`: of a function, or of the `__init__` that a class has."""
    if not isinstance(of.node, ast.ClassDef):
        return _arguments(of.module, of.node)
    own = [n for n in of.node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
    if own:
        found = _arguments(of.module, own[-1])
        found.positional.pop(next(iter(found.positional), ""), None)  # self
        forwarded = _forwarded(own[-1])
        if forwarded is not None:
            base = _of_bases(of)
            if own[-1].args.vararg is not None:
                found.positional |= base.positional  # *parts hands them on
            _inherit(found, base, forwarded)
        return found
    if _is_dataclass(of.node):
        return _fields(of)
    makes_itself = any(isinstance(n, ast.FunctionDef) and n.name == "__new__" for n in of.node.body)
    if of.node.decorator_list or makes_itself:
        return Signature(is_open=True)
    return _of_bases(of)


def _of_bases(of: Definition) -> Signature:
    for base in bases(of):
        found = signature(base) if base else Signature(is_open=True)
        if found.positional or found.keyword or found.is_open:
            return found
    return Signature()


def _arguments(module: Module, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Signature:
    spec = node.args
    before = [*spec.posonlyargs, *spec.args]
    optional = len(before) - len(spec.defaults)
    unpacked = _unpacked(module, spec.kwarg)
    return Signature(
        positional={
            a.arg: Parameter(a.annotation, module, i < optional) for i, a in enumerate(before)
        },
        keyword={
            a.arg: Parameter(a.annotation, module, default is None)
            for a, default in zip(spec.kwonlyargs, spec.kw_defaults, strict=True)
        }
        | unpacked,
        is_open=spec.kwarg is not None and not unpacked,
    )


def _unpacked(module: Module, kwarg: ast.arg | None) -> dict[str, Parameter]:
    """The keys of `**kwargs: Unpack[SomeTypedDict]`, none of them required."""
    annotation = kwarg.annotation if kwarg else None
    if not isinstance(annotation, ast.Subscript) or plain_name(annotation) != "Unpack":
        return {}
    of = evaluate(module, annotation.slice)
    return {k: replace(parameter, required=False) for k, parameter in _fields(of).keyword.items()}


def _forwarded(init: ast.FunctionDef) -> set[str] | None:
    """What `super().__init__(a=..., **kwargs)` gives itself; None where it forwards nothing."""
    if init.args.kwarg is None:
        return None
    for call in ast.walk(init):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "super().__init__":
            names = [
                k.value.id for k in call.keywords if isinstance(k.value, ast.Name) and not k.arg
            ]
            if names == [init.args.kwarg.arg]:
                return {keyword.arg for keyword in call.keywords if keyword.arg}
    return None


def _inherit(found: Signature, base: Signature, given: set[str]) -> None:
    found.is_open = base.is_open
    taken = {*found.positional, *found.keyword, *given}
    found.keyword |= {k: v for k, v in base.positional.items() if k not in taken}
    found.keyword |= {k: v for k, v in base.keyword.items() if k not in taken}


def _is_dataclass(node: ast.ClassDef) -> bool:
    return any(plain_name(d).rpartition(".")[2] == "dataclass" for d in node.decorator_list)


def _fields(of: Definition) -> Signature:
    """The fields of a dataclass or TypedDict as keywords, those of its bases first."""
    assert isinstance(of.node, ast.ClassDef)
    found = Signature()
    for base in bases(of):
        if base and is_record(base):
            found.keyword |= _fields(base).keyword
    for node in of.node.body:
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        annotation = ast.unparse(node.annotation)
        is_made = "init=False" in ast.unparse(node.value).replace(" ", "") if node.value else False
        if "ClassVar" not in annotation and "KW_ONLY" not in annotation and not is_made:
            required = node.value is None and "NotRequired" not in annotation
            found.keyword[node.target.id] = Parameter(node.annotation, of.module, required)
    return found


def is_record(of: Definition) -> bool:
    """Whether `of` is a dataclass or a TypedDict: a class whose fields are its keys."""
    if not isinstance(of.node, ast.ClassDef):
        return False
    names = {plain_name(base).rpartition(".")[2] for base in of.node.bases}
    if _is_dataclass(of.node) or "TypedDict" in names:
        return True
    return any(base and is_record(base) for base in bases(of))


def fields(of: Definition) -> dict[str, Parameter]:
    """The keys of a dataclass or TypedDict."""
    return _fields(of).keyword


def attribute(of: Definition, name: str) -> Any:
    """The literal value of a class attribute, its own or inherited; None where there is none."""
    for value in _own_values(of, name):
        return value
    values = (attribute(base, name) for base in bases(of) if base)
    return next((value for value in values if value is not None), None)


def merged(of: Definition, name: str) -> dict[str, Any]:
    """The literal dicts that a class and its bases have as an attribute, as one."""
    found: dict[str, Any] = {}
    for base in bases(of):
        found |= merged(base, name) if base else {}
    for value in _own_values(of, name):
        found |= value or {}
    return found


def _own_values(of: Definition, name: str) -> Iterator[Any]:
    """What the class's own body binds `name` to; None for what is no literal."""
    for node in of.node.body if isinstance(of.node, ast.ClassDef) else ():
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            bound = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == name for target in bound):
                try:
                    yield ast.literal_eval(node.value)
                except ValueError:
                    yield None

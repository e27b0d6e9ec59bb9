"""The words of a command line, read and judged before Hydra acts on any of them."""

import re
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn

from cnnlab.errors import UserError

if TYPE_CHECKING:  # Hydra is imported where it is needed, so that --help need not wait for it
    from hydra.core.override_parser.types import Override

_MULTIRUN = {"-m", "--multirun"}
_HYDRA = {*_MULTIRUN, "-i", "--info", "-sc", "--shell-completion", "--hydra-help"}
_HYDRA |= {"--version", "-c", "--cfg"}

_PLAIN = re.compile(r"(?!(?:null|true|false|inf|nan)$)[A-Za-z_/][\w./+-]*", re.IGNORECASE)
"""Texts that need no quotes."""
_REFUSED_IN_HYDRA = ("callbacks", "job_logging", "hydra_logging", "searchpath")
"""Nodes of Hydra's own config through which it imports or calls what they name."""


def asks_for_help(words: list[str]) -> bool:
    """Whether the command line asks for the help page."""
    return any(word in ("--help", "-h") for word in words)


def needs_hydra(words: list[str]) -> bool:
    """Whether the command line asks for something else than one run: several, --cfg, completion."""
    return any(word.split("=")[0] in _HYDRA for word in words)


def asks_for_several(words: list[str]) -> bool:
    """Whether the command line stands for several runs, and asks for nothing else of Hydra's."""
    if any(word.split("=")[0] in _HYDRA - _MULTIRUN for word in words):
        return False
    ablations = [word for word in words if word.startswith("ablation=")]
    return bool(_MULTIRUN & set(words)) or any(word != "ablation=null" for word in ablations[-1:])


def parse(words: list[str]) -> tuple[Namespace, "list[Override]"]:
    """Hydra's options, and the overrides by Hydra's grammar; nothing is composed or imported.

    Raises:
        UserError: an unknown option, a word that is no override, a value left out, or an override
            through which Hydra would run what it names.
    """
    from hydra._internal.utils import get_args_parser

    parser: ArgumentParser = get_args_parser()
    parser.allow_abbrev = False
    parser.error = _no_option  # type: ignore[method-assign]  # argparse would exit with its own page
    options = parser.parse_intermixed_args(words)
    if options.experimental_rerun:
        raise UserError("--experimental-rerun: not supported, it would run code from a pickle")
    if (options.config_path or "").startswith("pkg://"):
        raise UserError(f"--config-path {options.config_path}: must be a folder")
    overrides = [_override(word) for word in options.overrides]
    for override in overrides:
        _refuse(override)
    return options, overrides


def word(key: str, value: Any) -> str:
    """The override that sets `key` to a plain value, by Hydra's grammar."""
    return f"{key}={_written(value)}"


def _written(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_written(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_written, value)) + "]"
    if isinstance(value, str) and not _PLAIN.fullmatch(value):
        from hydra.core.override_parser.types import Quote, QuotedString

        return QuotedString(value, Quote.double).with_quotes()
    return (
        str(value).lower() if isinstance(value, bool) else "null" if value is None else str(value)
    )


def _no_option(message: str) -> NoReturn:
    raise UserError(f"{message}; settings are written KEY=VALUE: python train.py --help")


def _override(word: str) -> "Override":
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    key, equals, value = word.partition("=")
    if not equals and not word.startswith("~"):
        raise UserError(f"{word}: settings are written KEY=VALUE or GROUP=NAME")
    if equals and not value.strip():
        raise UserError(f"{word}: the value is missing; null means none: {key}=null")
    try:
        return OverridesParser.create().parse_overrides([word])[0]
    except HydraException as error:
        raise UserError(
            f"'{word}' cannot be read; a value with spaces, commas, brackets or '=' needs two "
            f"pairs of quotes: '{key}=\"VALUE\"', and lists and dicts one: '{key}=[1, 2]'"
        ) from error


def _refuse(override: "Override") -> None:
    parts = [part for name in _names(override) for part in re.split(r"[./:]", name)]
    if "hydra" not in (re.split(r"[./]", override.key_or_group)[0], _root(override.package)):
        return
    for part in parts:
        if part in _REFUSED_IN_HYDRA:
            other = {"callbacks": "; cnnlab's own: callbacks.NAME", "searchpath": "; --config-dir"}
            raise UserError(
                f"{override.input_line}: hydra.{part} cannot be set{other.get(part, '')}"
            )
        if part == "_target_":
            raise UserError(f"{override.input_line}: Hydra's own config takes no _target_")


def _names(override: "Override") -> Iterator[str]:
    """The key, the package, and every key inside the value."""
    yield override.key_or_group
    yield override.package or ""
    if not override.is_sweep_override():
        yield from _keys(override.value())


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from map(str, value)
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _keys(item)


def _root(package: str | None) -> str:
    return (package or "").removeprefix("_global_.").split(".")[0]

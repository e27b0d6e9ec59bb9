"""Hydra's, OmegaConf's and YAML's errors as one line that names key, value and what is allowed."""

from pathlib import Path
from traceback import walk_tb

from cnnlab.config.folder import choices
from cnnlab.errors import UserError, nearest


def one_line(error: Exception) -> UserError:
    """A `UserError` that says in one line what `error`, raised while composing, is about."""
    from hydra.errors import MissingConfigException
    from yaml import MarkedYAMLError

    if isinstance(error, UserError):
        return error
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return no_such_config(error.missing_cfg_file, list(error.options or []))
    if isinstance(error, MarkedYAMLError) and error.problem_mark:
        mark = error.problem_mark
        return UserError(
            f"{mark.name}:{mark.line + 1}: not valid YAML: {flat(error.problem or '')}"
        )
    if isinstance(error, RecursionError):
        return UserError(
            "the defaults lists of the chosen configs refer to one another in a circle"
        )
    text = flat(error) or (flat(error.__cause__) if error.__cause__ else type(error).__name__)
    if "Could not override" in text and "@" in text and "In '" in text:
        text += " A file that overrides groups begins with '# @package _global_'."
    file = _file(error)
    return UserError(f"{file}: {text}" if file else text)


def no_such_config(path: str, options: list[str]) -> UserError:
    """The error for `model/resnet5`: the nearest name, and the others where they are few."""
    group, _, name = path.rpartition("/")
    allowed = choices(options)
    if not group:
        return UserError(f"--config-name {name}: no such config")
    there = f"there: {' | '.join(allowed)}"
    if len(allowed) > 12:
        more = "python -m cnnlab models" if group == "model" else "python train.py --help"
        there = f"{len(allowed)} there: {more}"
    longer = [other for other in allowed if other.startswith(name)]
    near = nearest(longer[0] if name and longer else name, allowed)
    return UserError(f"{group}={name}: no such config{near} ({there})")


def flat(text: object) -> str:
    """The text on one line, without the lines that OmegaConf adds for its own use."""
    return " ".join(str(text).partition("full_key:")[0].split())


def _file(error: Exception) -> Path | None:
    """The config file that was being read: some errors of OmegaConf.load do not name it."""
    for frame, _ in walk_tb(error.__traceback__):
        if frame.f_code.co_name == "load_config" and "full_path" in frame.f_locals:
            return Path(frame.f_locals["full_path"])
    return None

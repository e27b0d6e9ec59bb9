"""The jobs that a `-m` command line stands for."""

from itertools import product

from cnnlab.config.compose import loader_of
from cnnlab.config.words import parse
from cnnlab.errors import UserError


def jobs(words: list[str]) -> list[list[str]]:
    """The words of each job; the last list of values changes fastest, as with Hydra's sweeper.

    Each can be composed and checked before the first starts.

    Raises:
        UserError: as `words.parse`, and for a sweep that has no list of values.
    """
    options, overrides = parse(words)
    loader = loader_of(options)
    choices: dict[str, list[str]] = {}
    for override in overrides:
        override.config_loader = loader  # glob(*) asks it for the names in a group
        key, word = override.get_key_element(), override.input_line or ""
        if not override.is_sweep_override():
            choices[key] = [word]
        elif override.is_discrete_sweep():
            choices[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
        else:
            raise UserError(f"{word}: only a list of values can be run: {key}=A,B")
    flags = {"--config-dir": options.config_dir, "--config-path": options.config_path}
    flags["--config-name"] = options.config_name
    kept = [word for flag, value in flags.items() if value for word in (flag, value)]
    return [[*kept, *combination] for combination in product(*choices.values())]

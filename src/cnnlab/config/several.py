"""The jobs that a `-m` command line stands for."""

from cnnlab.config.compose import loader_of
from cnnlab.config.words import parse
from cnnlab.errors import UserError


def jobs(words: list[str]) -> list[list[str]]:
    """The words of each job, in the order that Hydra's basic sweeper runs them.

    Each can be composed and checked before the first starts.

    Raises:
        UserError: as `words.parse`, and for a sweep that has no list of values.
    """
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.errors import HydraException

    options, overrides = parse(words)
    loader = loader_of(options)
    for override in overrides:
        override.config_loader = loader  # glob(*) asks it for the names in a group
    try:
        (combinations,) = BasicSweeper.split_arguments(overrides, max_batch_size=None)
    except HydraException as error:
        raise UserError(f"{' '.join(words)}: {error}") from error
    flags = {"--config-dir": options.config_dir, "--config-path": options.config_path}
    flags["--config-name"] = options.config_name
    kept = [word for flag, value in flags.items() if value for word in (flag, value)]
    return [[*kept, *combination] for combination in combinations]

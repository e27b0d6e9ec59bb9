"""From the words of a command line to one config: composed once, every error one line."""

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnlab.config import keys
from cnnlab.config.composed import Composed
from cnnlab.config.faults import no_such_config, one_line
from cnnlab.config.folder import CONF
from cnnlab.config.plain import unresolved
from cnnlab.config.words import needs_hydra, parse
from cnnlab.errors import UserError

if TYPE_CHECKING:  # Hydra is imported where it is needed, so that --help need not wait for it
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra.core.override_parser.types import Override
    from omegaconf import DictConfig


def compose(words: list[str]) -> Composed:
    """The config that `words`, as typed after `python train.py`, ask for.

    Hydra composes the groups; the keys are then set one by one, each against what is there, so an
    error can name the key that was meant. Hydra's own program composes twice, and this once. The
    process-wide state it leaves is what any Hydra program leaves: `HydraConfig`.

    Raises:
        UserError: in one line, whatever is wrong with the words or with a config file.
    """
    if needs_hydra(words):
        raise UserError(f"{' '.join(words)}: only python train.py takes -m, --cfg, --info, -sc")
    options, overrides = parse(words)
    for override in overrides:
        _refuse_sweep(override)
    loader = loader_of(options)
    groups = [override for override in overrides if _is_group(override, loader)]
    settings = [override for override in overrides if override not in groups]
    for override in groups:
        _refuse_group(override, loader)
    cfg = _load(loader, options.config_name or "train", groups)
    for override in settings:
        _apply(cfg, override)
    return _split(cfg, [*lab_folder(options), *words_of(overrides)], overrides, groups)


def lab_folder(options: Namespace) -> list[str]:
    """The word for the lab's config folder, if there is one: absolute, so that it can be replayed.

    A run is tested and resumed with the words it was started with.
    """
    folder = options.config_dir
    return [] if folder is None else [f"--config-dir={Path(folder).resolve()}"]


def words_of(overrides: "list[Override]") -> list[str]:
    """The words that are about the experiment, not about Hydra."""
    return [o.input_line or "" for o in overrides if not o.is_hydra_override()]


def loader_of(options: Namespace) -> "ConfigLoaderImpl":
    """What reads the config folders: ours first, then that of --config-dir, as in Hydra."""
    from hydra import version
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra._internal.utils import create_config_search_path
    from hydra.core.config_search_path import SearchPathQuery
    from hydra.core.utils import JobRuntime, setup_globals

    main = CONF.parent / options.config_path if options.config_path else CONF
    if not main.is_dir():
        raise UserError(f"{main}: no such config folder")
    version.setbase("1.3")
    setup_globals()
    JobRuntime().set("name", "train")
    search = create_config_search_path(str(main))
    if options.config_dir is not None:
        folder = Path(options.config_dir).resolve()
        if not folder.is_dir():
            raise UserError(f"--config-dir {options.config_dir}: no such folder")
        search.prepend("command-line", f"file://{folder}", anchor=SearchPathQuery("schema"))
    return ConfigLoaderImpl(config_search_path=search)


def _is_group(override: "Override", loader: "ConfigLoaderImpl") -> bool:
    """As Hydra decides: a folder of that name makes it a group, unless the value is a dict."""
    value = override.value()
    return not isinstance(value, dict) and loader.repository.group_exists(override.key_or_group)


def _refuse_sweep(override: "Override") -> None:
    if override.is_sweep_override():
        key, value = override.key_or_group, override.get_value_string()
        raise UserError(
            f"{override.input_line}: several values are several runs: python train.py -m ...; "
            f"one value that is a list is written '{key}=[{value}]'"
        )


def _refuse_group(override: "Override", loader: "ConfigLoaderImpl") -> None:
    """`+group`, `~group` and values that name no file."""
    word, group, value = override.input_line, override.key_or_group, override.value()
    if override.is_delete():
        raise UserError(f"{word}: a group cannot be left out; '~' deletes entries of {_DELETABLE}")
    if (override.is_add() or override.is_force_add()) and not (
        override.package and keys.is_open(override.package)
    ):
        raise UserError(
            f"{word}: {group} is a config group; drop the '+': {group}={value} "
            f"(several: '{group}=[ONE,OTHER]')"
        )
    if not isinstance(value, str | list):
        raise no_such_config(
            f"{group}/{override.get_value_string()}", loader.get_group_options(group)
        )


_DELETABLE = f"{', '.join(keys.OPEN)} and logger"


def _load(loader: "ConfigLoaderImpl", name: str, groups: "list[Override]") -> "DictConfig":
    from hydra.types import RunMode

    words = [override.input_line or "" for override in groups]
    try:
        return loader.load_configuration(name, words, RunMode.RUN)
    except Exception as error:  # Hydra, OmegaConf and YAML raise all sorts, about the user's files
        raise one_line(error) from error


def _apply(cfg: "DictConfig", override: "Override") -> None:
    """Set, add or delete one key, as Hydra would but for keys that are not there."""
    from omegaconf import OmegaConf, open_dict
    from omegaconf.errors import OmegaConfBaseException

    key, value, plain = override.key_or_group, override.value(), unresolved(cfg)
    if override.package is not None:
        raise UserError(f"{override.input_line}: '{key}' is no config group")
    if override.is_delete():
        if not keys.exists(plain, key):
            raise keys.unknown(plain, key, plus="~")
        if not keys.may_delete(key):
            raise UserError(f"{override.input_line}: '~' deletes only entries of {_DELETABLE}")
        parent, _, name = key.rpartition(".")
        with open_dict(cfg):
            node = OmegaConf.select(cfg, parent)
            del node[keys.name_in(node, name)]
        return
    plus = "+" * override.is_add() + "++" * override.is_force_add()
    for path in _added(plain, key, value):
        if not (keys.is_open(path) and (plus or isinstance(value, dict))):
            raise keys.unknown(plain, path, plus)
    if override.is_add() and keys.exists(plain, key) and not isinstance(value, dict | list):
        raise UserError(f"{override.input_line}: the key is there; drop the '+'")
    key, value = keys.numbered(key, value)
    try:
        OmegaConf.update(cfg, key, value, merge=True, force_add=keys.is_open(key))
    except OmegaConfBaseException as error:
        raise UserError(f"{override.input_line}: {one_line(error)}") from error


def _added(plain: dict[str, Any], key: str, value: Any) -> list[str]:
    """The dotted keys that setting `key` to `value` would add."""
    if not keys.exists(plain, key):
        return [key]
    there = keys.get(plain, key)
    if not isinstance(value, dict) or not isinstance(there, dict):
        return []
    return [path for k, v in value.items() for path in _added(plain, f"{key}.{k}", v)]


def _split(
    cfg: "DictConfig", words: list[str], overrides: "list[Override]", groups: "list[Override]"
) -> Composed:
    """The experiment and Hydra's node apart, as Hydra's own program does it."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf, open_dict

    own = [o.input_line or "" for o in overrides if o.is_hydra_override()]
    OmegaConf.set_readonly(cfg.hydra, False)
    cfg.hydra.overrides.task, cfg.hydra.overrides.hydra = words_of(overrides), own
    choices: Any = OmegaConf.to_container(cfg.hydra.runtime.choices)
    choices |= {o.key_or_group: o.value() for o in groups if isinstance(o.value(), list)}
    HydraConfig.instance().set_config(cfg)
    job = cfg.copy()
    with open_dict(job):
        del job["hydra"]
    return Composed(cfg=job, choices=choices, overrides=words, hydra=cfg.hydra)

"""The words that stay Hydra's own: several jobs (-m), --cfg, --info, tab completion."""

import os
import sys
import tempfile
from collections.abc import Callable
from typing import Any


def hydra_app(run: Callable[[Any], Any]) -> None:
    """Hand the command line to Hydra; `run` gets each job's composed and checked config."""
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import DictConfig, OmegaConf

    from cnnlab.config import Composed, check, compose
    from cnnlab.config.compose import lab_folder
    from cnnlab.config.folder import CONF
    from cnnlab.config.several import jobs
    from cnnlab.config.words import parse

    # Hydra would print a UserError with its own traceback; ours is one line.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    options, _ = parse(sys.argv[1:])  # refuses words before Hydra acts on them
    if not options.shell_completion:
        # What is wrong with any job is said in one line, before the first starts.
        for words in jobs(sys.argv[1:]):
            composed = compose(words)
            if options.multirun:
                check(composed)

    def job(cfg: DictConfig) -> None:
        node = HydraConfig.get()
        composed = Composed(
            cfg=cfg,
            # to_container may give a list; a node gives a dict.
            choices=dict(OmegaConf.to_container(node.runtime.choices)),  # type: ignore[arg-type]
            overrides=[*lab_folder(options), *node.overrides.task],
            hydra=node,
        )
        check(composed)
        run(composed)

    with tempfile.TemporaryDirectory() as notes:
        if options.multirun:
            sys.argv.append(f"hydra.sweep.dir={notes}")
        hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")(job)()

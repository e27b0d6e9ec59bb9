"""The words that stay Hydra's own: --cfg, --info, tab completion."""

import os
import sys
from typing import Any


def hydra_app() -> None:
    """Hand the command line to Hydra, which shows what it was asked for; nothing is run."""
    import hydra

    from cnnlab.config import compose
    from cnnlab.config.folder import CONF
    from cnnlab.config.several import jobs
    from cnnlab.config.words import parse

    # Hydra would print a UserError with its own traceback; ours is one line.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    options, _ = parse(sys.argv[1:])  # refuses words before Hydra acts on them
    if not options.shell_completion:
        # What is wrong with them is said in one line.
        for words in jobs(sys.argv[1:]):
            compose(words)

    def nothing(cfg: Any) -> None:
        """Hydra's program wants a task; no option that comes here runs it."""

    hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")(nothing)()

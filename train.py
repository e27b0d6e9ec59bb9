"""Train one network and test it: `python train.py model=resnext50_32x4d data=imagenet`.

`python train.py --help` shows what can be chosen. Nothing heavy is imported before the config is
valid.
"""

import sys

from cnnlab.config import Composed, check, compose
from cnnlab.errors import one_line_errors


def run(composed: Composed) -> dict[str, float]:
    """Fit, test, leave a record; returns all metrics by key."""
    from cnnlab.experiment import Experiment

    with Experiment(composed) as experiment:
        experiment.build()
        experiment.measure_cost()
        experiment.fit()
        experiment.test()
        if experiment.trainer.is_global_zero:
            print(experiment.closing_block(), flush=True)
    return experiment.metrics()


def main() -> None:
    """The command line."""
    from cnnlab.config.words import asks_for_help, asks_for_several, needs_hydra

    words = sys.argv[1:]
    if asks_for_help(words):
        from cnnlab.help import page

        print(page())
        return
    with one_line_errors():
        if asks_for_several(words):
            from cnnlab.ablation.command import multirun

            sys.exit(multirun(words))
        if needs_hydra(words):
            from cnnlab.config.hydra_app import hydra_app

            hydra_app()
        else:
            from cnnlab.config.resuming import with_first_words

            composed = compose(with_first_words(words))
            check(composed)
            run(composed)


if __name__ == "__main__":
    main()

"""The page of `python train.py --help`. It reads folder listings: nothing is composed."""

from pathlib import Path

from cnnlab.config.folder import CONF, choices

_PAGE = """\
Train one network, test it, keep a record.

  python train.py                                          embedded digits, CIFAR ResNet-20: about a minute
  python train.py model=resnext50_32x4d data=imagenet      a net, a data set: the data picks task and recipe
  python train.py data=fashion_mnist optimizer.lr=0.05     any key of the config
  python train.py -m model=resnet20_cifar,lenet5_modern seed=1,2,3   every combination
  python train.py ablation=resnext_groups [dry=true]       a claim of the decks: arms at equal cost, seeds; repeat it to go on
  python train.py resume=runs/digits-resnet20_cifar/001-s0 continue a run

Choices (GROUP=NAME):
{groups}
Keys most often set: seed, trainer.max_epochs, trainer.precision, data.root, data.batch_size, data.fraction,
  optimizer.lr, model.weights, model.freeze, callbacks.ema, name. See all: python train.py --cfg job
Other: model=timm model.name=NAME (any timm net), +model.knobs.KEY=VALUE, --config-dir DIR (your own configs,
  with CNNLAB_ALLOW=your_package), eval "$(python train.py -sc install=bash)" (tab completion).

More verbs: python -m cnnlab --help
"""

_ORDER = (
    "data model task head loss recipe optimizer scheduler trainer callbacks logger ablation "
    "experiment debug"
)


def page() -> str:
    """The help page, with what the config folder holds now."""
    return _PAGE.format(groups="\n".join(_group(CONF / name) for name in _ORDER.split()) + "\n")


def options(folder: Path) -> list[str]:
    """The names that a config group offers."""
    return choices(file.stem for file in folder.glob("*.yaml"))


def _group(folder: Path) -> str:
    names = options(folder)
    most = len(names) if folder.name == "ablation" else 12  # a claim has no other list
    where = "python -m cnnlab models" if folder.name == "model" else f"conf/{folder.name}"
    more = f" ... {len(names)} in all: {where}" if len(names) > most else ""
    return f"  {folder.name + '=':<12}{' | '.join(names[:most])}{more}"

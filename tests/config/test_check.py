import re
import shlex
import subprocess
import sys
from itertools import zip_longest

import pytest

from cnnlab.config import check, compose
from cnnlab.config.definitions import find
from cnnlab.config.folder import CONF, choices
from cnnlab.config.signature import attribute
from cnnlab.errors import UserError

GLOBAL = "# @package _global_\n"
FILES = sorted(
    f"{file.parent.relative_to(CONF).as_posix()}={file.stem}"
    for file in CONF.glob("*/**/*.yaml")
    # An ablation is several runs: tests/ablation plans each.
    if choices([file.stem]) and file.parent.name not in ("hydra", "ablation")
)
MODELS = [word for word in FILES if word.startswith("model=")]
OTHERS = [word for word in FILES if word not in MODELS]
NEEDS = {
    "model=timm": "model.name=vgg11",
    "task=multilabel": "data=csv",
    "scheduler=cosine_convnext": "trainer.max_epochs=300",
    "task=segmentation": "data=camvid",
    "task=detection": "data=bccd",
}
HEADS = {"sigmoid scores": "retinanet", "softmax scores": "ssd", "proposals": "faster_rcnn"}
DATA = {("segmentation",): "data=camvid", ("detection",): "data=bccd"}


def needed(word: str) -> str | None:
    """The data, and head, that a loss or head for one task alone needs."""
    group, _ = word.split("=")
    if group not in ("loss", "head"):
        return None
    target = find(compose([word]).cfg[group]._target_)
    takes = attribute(target, "takes")
    head = f" head={HEADS[takes[0]]}" if takes else ""
    data = DATA.get(attribute(target, "tasks"))
    return data and data + head


NEEDS |= {word: data for word in FILES if (data := needed(word))}
PAIRS = [" ".join(filter(None, pair)) for pair in zip_longest(MODELS, OTHERS)]
"""Each file once; a model and another file together, since composing is what takes the time."""


@pytest.fixture(autouse=True)
def no_lab(monkeypatch):
    monkeypatch.delenv("CNNLAB_ALLOW", raising=False)


def error(*words: str) -> str:
    with pytest.raises(UserError) as caught:
        check(compose(list(words)))
    return str(caught.value)


def test_every_file_is_among_them():
    assert len(FILES) >= 100
    assert sorted(" ".join(PAIRS).split()) == FILES


@pytest.mark.parametrize("pair", PAIRS)
def test_every_config_file_composes_and_passes(pair):
    words = [
        re.sub(r"^callbacks=(?!default)(\w+)", r"callbacks=[default,\1]", w) for w in pair.split()
    ]
    more = [need for word in words for need in NEEDS.get(word, "").split()]
    check(compose([*words, *more]))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("trainer.max_epochs=abc", "trainer.max_epochs=abc: must be a whole number"),
        ("trainer.max_epochs=0", "trainer.max_epochs=0: must be at least 1"),
        ("seed=null", "seed=null: must be a whole number"),
        ("seed=-1", "seed=-1: must be at least 0 and at most 4294967295"),
        ("data.fraction=0", "data.fraction=0: must be above 0 and at most 1"),
        ("data.batch_size=1.5", "data.batch_size=1.5: must be a whole number"),
        ("data.sampler=balancd", "did you mean 'balanced'"),
        ("data.augment.policy=randaug", "did you mean 'randaugment'"),
        ("data.augment.erasing=2", "data.augment.erasing=2: must be at least 0 and at most 1"),
        ("optimizer.lr=0", "optimizer.lr=0: must be above 0"),
        ("model.freeze=-1", "model.freeze=-1: must be at least 0"),
        ("model=timm", "model.name: a value is required: model.name=..."),
        ("model._target_=os.system", "model._target_=os.system: not allowed; allowed are names"),
        ("model=timm model._target_=os.system", "model._target_=os.system: not allowed"),
        ("model._target_=cnnlab.backbones.creat", "cnnlab.backbones has no 'creat'"),
        ("model._target_=cnnlab.backbones", "must be a dotted name|is a module"),
        ("model._target_=cnnlab.errors.sys.exit", "not allowed: 'sys' in cnnlab.errors"),
        ("model._target_=torch.nn.modules.module.torch.load", "not allowed: 'torch' in"),
        ("model._target_=torch.nn.Module.__init__", "private names"),
        ("'+model.knobs.x={_target_: os.system}'", r"model\.knobs\.x\._target_=os\.system: not"),
        ("'+tags.x=[{_target_: os.system}]'", r"tags\.x\.0\._target_=os\.system: not allowed"),
        ("+tags.a=os.system model._target_=${tags.a}", r"model\._target_=os\.system: not allowed"),
        ("model._partial_=1", "model._partial_=1: must be true or false"),
        ("+callbacks.monitor._args_=[1]", "callbacks.monitor._args_: not supported"),
        ("+callbacks.monitor.zzz=1", "callbacks.monitor.zzz: no such config key of cnnlab"),
        ("+callbacks.mine.a=1", "callbacks.mine: has no _target_"),
        ("callbacks.ema=true", "callbacks.ema=true: must be a dict or null"),
        ("'+callbacks.x={_target_: torch.nn.Linear, in_features: 1}'", "out_features: missing"),
        ("task.monitor=val/topl", r"task.monitor=val/topl: .*; did you mean 'val/top[15]'"),
        (
            "data=digit_scenes task.monitor=val/loss_dice",
            "task.monitor=val/loss_dice: task=segmentation logs val/loss, val/miou",
        ),
        (
            "data=digit_scenes loss=dice_ce task.monitor=val/loss_dlce",
            "logs val/loss, val/loss_dice, val/loss_cross_entropy, .*did you mean 'val/loss_dice'",
        ),
        (
            "data=digit_scenes task=detection task.monitor=val/loss_bx",
            "logs val/loss, val/loss_class, val/loss_box, val/map, .*did you mean 'val/loss_box'",
        ),
        ("task=multilabel", "data=digits: does not fit task=multilabel"),
        (
            "data=digit_scenes task=detection loss=ssd",
            "loss=ssd: takes softmax scores, and head=retinanet gives sigmoid scores",
        ),
        ("~logger.wandb.entity", "logger.wandb.entity: missing"),
        ("name=3", r"name=3: must be text or null; text is quoted twice"),
    ],
)
def test_wrong_words(words, said):
    text = error(*shlex.split(words))
    assert re.search(said, text)
    assert "\n" not in text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("modle: {groups: 4}\n", "modle: no such config key; did you mean 'model'"),
        ("model: {grops: 4}\n", "model.grops: no such config key .*; did you mean 'groups'"),
        ("model: {num_classes: 4}\n", "model.num_classes: set by the program, not by the config"),
        ("recipe: {smoothing: 0.1}\n", "recipe.smoothing: no such config key; .*label_smoothing"),
        ("data: {augment: {flop: true}}\n", "data.augment.flop: .*; did you mean 'flip'"),
        ("trainer: {max_epochs: many}\n", "trainer.max_epochs=many: must be a whole number"),
        ("callbacks: {x: {_target_: os.system}}\n", "callbacks.x._target_=os.system: not allowed"),
        ("hydra: {callbacks: {x: {_target_: os.system}}}\n", "hydra.callbacks.x._target_"),
        ("hydra: {callbacks: {x: {_target_: cnnlab.a.b}}}\n", "hydra.callbacks"),
        ("model: null\n", "model=null: must be a dict"),
        ("model: {_target_: null}\n", "model._target_=None: must be a dotted name"),
        ("callbacks: 3\n", "callbacks=3: must be a dict or null"),
        ("task: [1]\n", "In 'experiment/mine': .* Cannot merge DictConfig with ListConfig$"),
        ("recipe: 3\n", r"\$\{recipe.label_smoothing\}: .*node `recipe` is not a container"),
        ("1: 2\n", "1: no such config key"),
        ("data: {1: 2}\n", "data.1: no such config key of cnnlab"),
        ("head: {a: '${seeed}'}\n", r"head.a=\$\{seeed\}: .*; did you mean 'seed'"),
        ("data: {seed: '${runs}'}\n", "data.seed=runs: must be a whole number"),
    ],
)
def test_wrong_files(lab, text, said):
    conf = lab({"conf/experiment/mine.yaml": GLOBAL + text}) / "conf"
    assert re.search(said, error("--config-dir", str(conf), "experiment=mine"))


def test_a_file_without_its_package_line(lab):
    conf = lab({"conf/experiment/mine.yaml": "trainer: {max_epochs: 3}"}) / "conf"
    said = error("--config-dir", str(conf), "experiment=mine")
    assert "experiment/mine.yaml has to begin with '# @package _global_'" in said


def test_every_fault_is_a_line():
    said = error("trainer.max_epochs=abc", "seed=-1", "data.sampler=x").splitlines()
    assert sorted(line.split("=")[0] for line in said) == [
        "data.sampler",
        "seed",
        "trainer.max_epochs",
    ]


LAB = {
    "mylab/__init__.py": "",
    "mylab/nets.py": """\
        raise RuntimeError("imported before the config was valid")
        def net(num_classes: int = 10, *, name: str, width: int): ...
        """,
    "mylab/tasks.py": """\
        from cnnlab.tasks.classification import ClassificationTask
        class Ours(ClassificationTask):
            tasks = ("classification",)
            logs = ("val/ours",)
        """,
    "conf/model/ours.yaml": """\
        _target_: mylab.nets.net
        _partial_: true
        name: ours
        width: 16
        """,
    "conf/task/ours.yaml": """\
        # @package _global_
        defaults: [override /head: classifier]
        task: {_target_: mylab.tasks.Ours, _partial_: true, monitor: val/ours, mode: max}
        """,
}


def test_a_lab_from_outside(lab, monkeypatch):
    words = ["--config-dir", str(lab(LAB) / "conf"), "model=ours"]
    monkeypatch.setenv("CNNLAB_ALLOW", "mylab")
    check(compose([*words, "model.width=32"]))
    check(compose([*words, "task=ours"]))
    assert "did you mean 'model.width'" in error(*words, "model.widht=32")
    assert error(*words, "model.width=wide") == "model.width=wide: must be a whole number"
    assert "logs val/ours" in error(*words, "task=ours", "task.monitor=val/top1")
    monkeypatch.delenv("CNNLAB_ALLOW")
    assert "CNNLAB_ALLOW" in error(*words)


def test_nothing_heavy_is_imported():
    program = (
        "import sys\n"
        "from cnnlab.config import check, compose\n"
        "from cnnlab.errors import one_line_errors\n"
        "check(compose(['model=resnext50_32x4d', 'logger=[wandb,tensorboard]']))\n"
        "heavy = {'torch', 'lightning', 'timm', 'numpy', 'torchvision', 'wandb', 'sklearn'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "with one_line_errors():\n"
        "    check(compose(['trainer.max_epochs=abc']))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "error: trainer.max_epochs=abc: must be a whole number\n"


def test_importing_the_config_imports_no_hydra():
    """So that --help is printed at once."""
    program = "import sys, cnnlab.config; sys.exit('hydra' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0

import re

import pytest
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf
from omegaconf.errors import ConfigAttributeError

from cnnlab.config import check, compose
from cnnlab.errors import UserError

GLOBAL = "# @package _global_\n"


def error(*words: str) -> str:
    with pytest.raises(UserError) as caught:
        compose(list(words))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_composed():
    words = ["model=resnext50_32x4d", "trainer.max_epochs=3", "hydra.verbose=true"]
    composed = compose(
        [*words, "++model.groups=16", "+tags.why=width", "logger=[wandb,tensorboard]"]
    )
    cfg = composed.cfg
    assert (cfg.model.groups, cfg.trainer.max_epochs, cfg.tags.why) == (16, 3, "width")
    assert "hydra" not in cfg
    assert composed.hydra.verbose is True
    assert composed.choices["model"] == "resnext50_32x4d"
    assert composed.choices["task"] == "classification"
    assert composed.choices["logger"] == ["wandb", "tensorboard"]
    assert set(cfg.logger) == {"wandb", "tensorboard"}
    assert composed.overrides == [
        *words[:2],
        "++model.groups=16",
        "+tags.why=width",
        *composed.overrides[-1:],
    ]
    assert list(composed.hydra.overrides.task) == composed.overrides
    assert list(composed.hydra.overrides.hydra) == ["hydra.verbose=true"]


def test_struct_mode_stays_on_and_interpolations_stay_live():
    cfg = compose(["seed=3"]).cfg
    assert cfg.data.seed == 3
    cfg.seed = 4
    assert cfg.data.seed == 4
    with pytest.raises(ConfigAttributeError):
        cfg.model.grops = 4


def test_composes_again_and_again_and_leaves_hydra_free():
    first, second = compose(["seed=1"]), compose(["seed=2"])
    assert (first.cfg.seed, second.cfg.seed) == (1, 2)
    assert not GlobalHydra.instance().is_initialized()


def test_reads_each_file_once(monkeypatch):
    loaded = []
    load = OmegaConf.load
    monkeypatch.setattr(OmegaConf, "load", lambda file: loaded.append(file.name) or load(file))
    compose(["model=resnext50_32x4d"])
    assert len(loaded) > 10
    assert len(set(loaded)) == len(loaded)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "modle.groups=4 model=resnext50_32x4d",
            r"modle.groups: .*; did you mean 'model.groups'\?",
        ),
        ("modle.groups=4", "modle.groups: no such config key.*'model.groups'"),
        ("model.grops=4 model=resnext50_32x4d", r"model.grops: .*; did you mean 'model.groups'\?"),
        ("+model.grops=4 model=resnext50_32x4d", r"\+model.grops: .*; did you mean 'model.groups'"),
        ("++trainer.max_epoch=3", r"\+\+trainer.max_epoch: .*; did you mean 'trainer.max_epochs'"),
        ("+zzz=3", r"\+zzz: no such config key \('\+' adds only under tags, model.knobs, "),
        ("+zzz.callbacks.a=3", r"\+zzz.callbacks.a: no such config key"),
        ("tags.why=width", r"tags.why: .*\+tags.why"),
        ("callbacks.ema.decay=0.9", "callbacks.ema is None, which has no keys"),
        ("+seed=3", r"\+seed=3: the key is there; drop the '\+'"),
        ("model=resnet5", r"model=resnet5: no such config; did you mean 'resnet50'\? \(\d+ there"),
        ("model=resnet20", "did you mean 'resnet200'"),
        ("data=_base2", r"data=_base2: no such config \((there: (?!.*_base \|)|\d+ there: )"),
        ("task=klassification", r"did you mean 'classification'\? \(there: classification \| "),
        ("model=50", "model=50: no such config"),
        ("experiment=null", "experiment=null: no such config"),
        ("model.groups=1,2", r"model.groups=1,2: several values .* -m .*'model.groups=\[1,2\]'"),
        ("model=resnet18,resnet50", "several values are several runs"),
        ("seed=range(3)", "several values are several runs"),
        ("seed=", "seed=: the value is missing"),
        ("+experiment=digits_lenet", r"drop the '\+': experiment=digits_lenet"),
        ("++data=digits", r"drop the '\+': data=digits"),
        ("+callbacks=default", r"drop the '\+': callbacks=default"),
        ("~model.name", "'~' deletes only entries of tags"),
        ("~experiment", "a group cannot be left out"),
        ("~tags.nothing", "~tags.nothing: no such config key"),
        ("model@foo=timm", "Could not override 'model@foo'"),
        ("zzz@foo=timm", "'zzz' is no config group"),
        ("data.mean.9=1", "data.mean.9: no such config key"),
        ("hydra.verbos=true", "did you mean 'hydra.verbose'"),
        ("--config-name=nothing", "--config-name nothing: no such config"),
        ("--config-dir=/nothing", "--config-dir /nothing: no such folder"),
        ("--config-path=nothing", "nothing: no such config folder"),
        ("-m seed=1,2", "only python train.py takes -m"),
    ],
)
def test_wrong_words(words, said):
    assert re.search(said, error(*words.split()))


@pytest.mark.parametrize("plus", ["", "+", "++"])
def test_dicts_are_judged_key_by_key(plus):
    assert "model.grops: no such config key" in error(f"{plus}model={{grops: 4}}")
    assert compose([f"{plus}data.augment={{padding: 3}}"]).cfg.data.augment.padding == 3


def test_open_nodes_take_whole_dicts():
    cfg = compose(["+callbacks.mine={_target_: x.Y, a: 1}", "callbacks.ema={_target_: x.Z}"]).cfg
    assert cfg.callbacks.mine == {"_target_": "x.Y", "a": 1}
    assert cfg.callbacks.ema == {"_target_": "x.Z"}


def test_entries_of_open_nodes_can_be_deleted():
    cfg = compose(["~callbacks.pictures", "~logger.wandb", "+tags.a=1", "~tags.a"]).cfg
    assert "pictures" not in cfg.callbacks
    assert "wandb" not in cfg.logger
    assert cfg.tags == {}


VALUES = {1: "pet", 2: "background", 3: "ignore"}


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (["data.values={1: pet, 2: background, 3: border}"], VALUES | {3: "border"}),
        (["data.values={3: border}"], VALUES | {3: "border"}),
        (["data.values.3=border"], VALUES | {3: "border"}),
        (["data.values={0: other}"], VALUES | {0: "other"}),
        (["+data.values.0=other", "data.values.0=rest"], VALUES | {0: "rest"}),
        (["~data.values.3"], {1: "pet", 2: "background"}),
    ],
)
def test_values_of_masks_are_changed_and_added(words, values):
    cfg = compose(["data=oxford_pets", *words]).cfg
    assert cfg.data["values"] == values  # keys are numbers still
    check(compose(["data=oxford_pets", *words]))


def test_values_of_masks_where_there_are_none():
    for words in (
        ["data.values={0: cell, 1: membrane}"],
        ["+data.values.0=cell", "+data.values.1=membrane"],
    ):
        assert compose(["data=masks", *words]).cfg.data["values"] == {0: "cell", 1: "membrane"}


def test_a_value_that_is_not_there_takes_a_plus():
    said = error("data=oxford_pets", "data.values.4=x")
    assert said.startswith("data.values.4: no such config key")
    assert said.endswith("new ones take a '+': +data.values.4")
    assert "~data.values.4: no such config key" in error("data=oxford_pets", "~data.values.4")


def test_config_dir_adds(lab):
    conf = lab(
        {
            "conf/experiment/mine.yaml": """\
                # @package _global_
                defaults:
                  - override /model: resnet18
                trainer: {max_epochs: 7}
                """,
            "conf/optimizer/mine.yaml": "lr: 0.5",
            "conf/optimizer/sgd.yaml": "lr: 0.6",  # ours comes first, as in Hydra
        }
    )
    words = ["--config-dir", f"{conf}/conf", "experiment=mine", "optimizer=mine"]
    composed = compose(words)
    assert composed.cfg.trainer.max_epochs == 7
    assert composed.choices["model"] == "resnet18"
    assert composed.cfg.optimizer == {"lr": 0.5}
    folder = (conf / "conf").resolve()  # the run is replayed from anywhere
    assert composed.overrides == [f"--config-dir={folder}", *words[2:]]
    assert compose(composed.overrides).cfg == composed.cfg
    assert compose([*words[:2], "optimizer=sgd"]).cfg.optimizer.lr == 0.1


def test_config_path_and_name(lab):
    conf = lab({"conf/other.yaml": "a: 1"}) / "conf"
    assert compose(["--config-path", str(conf), "--config-name", "other", "a=2"]).cfg == {"a": 2}
    assert compose(["-cd", str(conf), "-cn", "other"]).cfg == {"a": 1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1, 2\nb: 3\n", "mine.yaml:2: not valid YAML: "),
        ("a: 1\na: 2\n", "mine.yaml:2: not valid YAML: found duplicate key a"),
        ("a: 1\n\tb: 2\n", "mine.yaml:2: not valid YAML"),
        ("name: ${b\n", "mine.yaml: no viable alternative at input '${b'"),
        (f"{GLOBAL}defaults: [override /model: resnt18]\n", "did you mean 'resnet18'"),
        (f"{GLOBAL}defaults: [override /modle: resnet18]\n", "Could not override 'modle'"),
        ("defaults: [override /model: resnet18]\n", "begins with '# @package _global_'"),
        ("defaults: [mine]\n", "in a circle"),
        ("defaults: [nothing]\n", "experiment=nothing: no such config"),
    ],
)
def test_broken_files(lab, text, said):
    conf = lab({}) / "conf" / "experiment"
    conf.mkdir(parents=True)
    (conf / "mine.yaml").write_text(text)
    assert said in error("--config-dir", str(conf.parent), "experiment=mine")

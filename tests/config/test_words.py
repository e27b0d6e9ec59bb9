import pytest

from cnnlab.config.words import asks_for_help, needs_hydra, parse
from cnnlab.config.words import word as word_of
from cnnlab.errors import UserError


@pytest.mark.parametrize("words", [["--help"], ["model=resnet50", "-h"]])
def test_help_is_asked_for_anywhere(words):
    assert asks_for_help(words)
    assert not asks_for_help(["name=help"])


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["-m", "seed=1,2"], True),
        (["seed=1", "--multirun"], True),
        (["--cfg", "job"], True),
        (["--cfg=job"], True),
        (["-sc", "install=bash"], True),
        (["--config-dir", "lab", "seed=1"], False),
        (["name=--cfg"], False),
    ],
)
def test_needs_hydra(words, answer):
    assert needs_hydra(words) is answer


def test_parse_takes_options_between_settings():
    options, overrides = parse(["seed=1", "--config-dir", "lab", "name='a b'"])
    assert options.config_dir == "lab"
    assert [(o.key_or_group, o.value()) for o in overrides] == [("seed", 1), ("name", "a b")]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("seed=", "seed=: the value is missing"),
        ("resnet50", "resnet50: settings are written KEY=VALUE"),
        ("--epochs=3", "unrecognized arguments: --epochs=3"),
        ("--config-d=lab", "unrecognized arguments: --config-d=lab"),  # no abbreviations
        ("name=a(b", "'name=a(b' cannot be read"),
        ("--config-path=pkg://os", "must be a folder"),
        ("--experimental-rerun=job.pickle", "pickle"),
    ],
)
def test_a_word_that_cannot_be_read(word, said):
    with pytest.raises(UserError) as caught:
        parse([word])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "word",
    [
        "hydra.callbacks.x._target_=os.system",
        "+hydra.callbacks.x._target_=os.system",
        "++hydra.callbacks.x={_target_: os.system}",
        "hydra/callbacks=mine",
        "+hydra/callbacks=mine",
        "hydra={callbacks: {x: {_target_: os.system}}}",
        "+hydra={callbacks: {x: 1}}",
        "hydra={sweeper: {a: [{_target_: os.system}]}}",
        "hydra.sweeper._target_=os.system",
        "+hydra.launcher.x={_target_: os.system}",
        "+model@hydra.callbacks.x=resnet50",
        "+model@_global_.hydra.callbacks.x=resnet50",
        "hydra.searchpath=[pkg://os]",
        "hydra.job_logging.handlers={}",
        "hydra/hydra_logging=mine",
        "~hydra.callbacks",
    ],
)
def test_refused_before_hydra_acts(word):
    with pytest.raises(UserError, match=r"hydra|Hydra"):
        parse([word])


@pytest.mark.parametrize(
    "word", ["hydra.verbose=true", "hydra/launcher=basic", "callbacks.pictures=null", "name=hydra"]
)
def test_harmless_words_pass(word):
    assert [o.input_line for o in parse([word])[1]] == [word]


@pytest.mark.parametrize(
    "value",
    [
        *(1, -2.5, 1e-05, True, None, "resnet50", "a/b.c", "0.1", "null", "True", "", " a "),
        *("a b", "it's", 'say "x"', r"C:\data", r"a\"b", "[1, 2]", "x=1,y:2", "end\\"),
        *([0.9, 0.999], [], {"a": [1, "1"], "b.c": None}, ["x y", {"k": "null"}]),
    ],
)
def test_a_value_comes_back_from_its_word(value):
    _, (override,) = parse([word_of("model.key", value)])
    assert override.value() == value
    assert type(override.value()) is type(value)

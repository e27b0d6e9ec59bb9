import json
import shutil

import pytest
import torch

from cnnlab import cli
from cnnlab.anchor_doctor import diagnosis
from cnnlab.config.folder import CONF, choices
from cnnlab.surgery import fold_bn


def say(capsys, *words: str) -> str:
    cli.main(list(words))
    return capsys.readouterr().out


def fail(capsys, *words: str) -> str:
    with pytest.raises(SystemExit) as stop:
        cli.main(list(words))
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


@pytest.mark.parametrize("words", [[], ["--help"], ["cost", "-h"]])
def test_help_lists_the_verbs(capsys, words):
    page = say(capsys, *words)
    for verb in ("cost", "models", "check", "test"):
        assert f"\n  {verb} " in page


def test_cost_as_json_has_what_a_script_needs(capsys):
    cost = json.loads(say(capsys, "cost", "model=resnet50", "--json"))
    assert cost["input"] == [3, 224, 224]
    assert cost["params"] == 25_557_032  # torchvision's count
    assert cost["macs"] == pytest.approx(4.089e9, rel=1e-3)  # torchvision: 4.089 GFLOPS
    assert cost["activations"] > 0


def test_cost_at_the_size_of_a_data_set_and_at_a_given_one(capsys):
    digits = json.loads(say(capsys, "cost", "model=resnet20_cifar", "data=digits", "--json"))
    assert digits["input"] == [1, 32, 32]
    given = json.loads(say(capsys, "cost", "model=resnet18", "--input", "3x64x96", "--json"))
    assert given["input"] == [3, 64, 96]
    grey = json.loads(say(capsys, "cost", "model=resnet18", "--input=1x64x96", "--json"))
    assert grey["params"] == given["params"] - 2 * 64 * 7 * 7


def test_cost_table_ends_with_totals(capsys):
    last = say(capsys, "cost", "model=lenet5_modern").splitlines()[-1]
    assert "61,706" in last
    assert "416,520" in last


def test_models_lists_named_configs_and_timms(capsys):
    named = say(capsys, "models", "resnext")
    assert "resnext50_32x4d" in named
    assert "convnext" not in named
    timms = say(capsys, "models", "vgg1", "--timm").split()
    assert {"vgg11", "vgg16_bn"} <= set(timms)
    of_deck = say(capsys, "models", "LeNet", "--deck", "3")
    assert "lenet5_modern" in of_deck
    assert "no such name in deck 4" in fail(capsys, "models", "lenet5", "--deck", "4")
    assert "resnet20_cifar" in say(capsys, "models", "cifar", "--timm").split()


def test_check_reports_data_batch_and_cost(capsys):
    out = say(capsys, "check", "data=digits", "model=lenet5_modern")
    topics = {line.split()[0] for line in out.splitlines()}
    assert {"config", "data", "files", "cost", "batch"} <= topics
    assert "train 1,079, val 359, test 359; 10 classes" in out


SCENES = [
    *("data=digit_scenes", "task=detection", "data.scenes=40", "data.batch_size=4"),
    *("model=resnet20_cifar", "model.width=4", "recipe.head_width=16", "trainer.threads=1"),
]


def test_check_of_detection_reports_and_draws_the_anchors(capsys, tmp_path):
    figure = tmp_path / "anchors.png"
    out = say(capsys, "check", *SCENES, "head.depth=1", "--figure", str(figure))
    told = [line.removeprefix("anchors").strip() for line in out.splitlines() if "anchors" in line]
    assert len(told) < 25
    assert told[0].startswith(f"{told[0].split()[0]} boxes of 40 training images")
    assert told[-1] == f"drawn: {figure}"
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_anchors_prints_a_word_that_fits_better(capsys):
    # Anchors far too large for digits of 16 to 48 pixels: of side 64 and more.
    words = [*SCENES, "head.depth=1", "head.anchors.side=16", "head.anchors.scales=[1.0]"]
    (word,) = say(capsys, "anchors", *words).split()
    before, after = (
        next(line for line in say(capsys, "check", *more).splitlines() if "  all " in line)
        for more in (words, [*words, word])
    )
    recall = [float(line.split()[-2].rstrip("%")) for line in (before, after)]
    assert recall[0] < 10
    assert recall[1] > 90


def test_anchors_stay_where_fitted_ones_are_no_better(capsys, monkeypatch):
    """They are judged on val; here k-means is made to find anchors of one pixel."""
    tiny = [torch.ones(3, 2)] * 2
    monkeypatch.setattr(diagnosis, "fit_anchors", lambda *given: tiny)
    sizes = "[[16,16],[24,24],[40,30]]"
    given = f"head.anchors.sizes=[{sizes},{sizes}]"
    cli.main(["anchors", *SCENES, "head.depth=1", "head.levels=2", given])
    said = capsys.readouterr()
    assert said.out.split() == [given]
    (line,) = said.err.strip().splitlines()
    assert "no better" in line


def test_anchors_are_of_detection_only(capsys, tmp_path):
    digits = ["data=digits", "model=lenet5_modern"]
    figure = ["--figure", str(tmp_path / "a.png")]
    for verb in (["anchors"], ["check", *figure]):
        assert "only task=detection has" in fail(capsys, *verb, *digits)
    assert "must end with .png" in fail(capsys, "check", *SCENES, "--figure", "anchors.gif")


def test_fold_proves_equality_on_statistics_that_are_not_the_identity(capsys, monkeypatch):
    words = ["fold", "model=resnet20_cifar", "trainer.threads=1"]
    out = say(capsys, *words)
    assert "19 of 19 BatchNorm layers folded" in out
    assert "with random statistics" in out
    real = fold_bn.fold

    def half_done(net, size):
        after, report = real(net, size)
        after.stage3[0].conv1.bias.data.zero_()
        return after, report

    monkeypatch.setattr(fold_bn, "fold", half_done)
    assert "folding changed the net" in fail(capsys, *words)


def test_fold_takes_the_net_of_a_data_set(capsys):
    out = say(capsys, "fold", "model=lenet5_modern", "data=digits", "trainer.threads=1")
    assert "0 of 0 BatchNorm layers folded" in out


@pytest.mark.slow
@pytest.mark.parametrize("name", choices(f.stem for f in (CONF / "model").glob("*.yaml")))
def test_cost_answers_for_every_name(capsys, name):
    if name == "timm":
        pytest.skip("names no net")
    told = json.loads(say(capsys, "cost", f"model={name}", "--json"))
    assert told["macs"] == sum(layer["macs"] for layer in told["layers"]) > 0
    assert told["params"] == sum(layer["params"] for layer in told["layers"]) > 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["tset"], "did you mean 'test'"),
        (["cost", "model=resnet50", "--input", "3x224"], "--input 3x224"),
        (["cost", "model=resnet50", "--input"], "a value is missing"),
        (["cost", "modle=resnet50"], "modle"),
        (["test"], "no weights"),
        (["models", "--bogus"], "models --bogus: takes [WORD]"),
        (["models", "--timm", "--deck", "2"], "timm's names have no decks"),
        (["models", "nosuchnet"], "models *nosuchnet*: no such name"),
        (
            ["cost", "model=timm", "model.name=vit_tiny_patch16_224", "--input", "3x32x32"],
            "3x32x32",
        ),
        (["test", "/nowhere/best.ckpt"], "/nowhere/best.ckpt"),
        (["test", "README.md"], "README.md: not a checkpoint"),
        (["test", "--config-dir", "/nowhere", "seed=1"], "--config-dir /nowhere"),
    ],
)
def test_wrong_words_are_one_line(capsys, words, says):
    assert says in fail(capsys, *words)


def test_a_file_outside_a_run_is_explained(capsys, tmp_path):
    (tmp_path / "best.ckpt").write_bytes(b"x")
    assert "model.weights" in fail(capsys, "test", str(tmp_path / "best.ckpt"))


@pytest.mark.data
def test_check_names_a_broken_file(capsys, real_data, tmp_path):
    root = tmp_path / "set"
    for split in ("train", "val"):
        for folder in sorted((real_data("imagenette224") / split).iterdir())[:2]:
            target = root / split / folder.name
            target.mkdir(parents=True)
            for file in sorted(folder.iterdir())[:6]:
                shutil.copy(file, target)
    broken = sorted((root / "train").rglob("*.*"))[0]
    broken.write_bytes(broken.read_bytes()[:2000])
    words = ["check", "data=image_folder", f"data.root={root}", "model=resnet18", "data.workers=0"]
    with pytest.raises(SystemExit):
        cli.main([*words, "data.image_size=64"])
    assert broken.name in capsys.readouterr().out

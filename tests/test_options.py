"""Each thing that can be chosen trains, from the words to the finished record."""

import importlib.util
from pathlib import Path

import pytest
from PIL import Image

from cnnlab.config import check, compose
from cnnlab.tracking.reading import RunData, read_run
from train import run

QUICK = [
    *("model=lenet5_modern", "logger=none", "trainer.threads=1", "trainer.max_epochs=2"),
    *("trainer.limit_train_batches=3", "scheduler=constant", "data.batch_size=16"),
    *("data.workers=0", "trainer.precision=32-true"),
]


def train(runs: Path, *words: str) -> RunData:
    composed = compose([*QUICK, *words, f"runs={runs}"])
    check(composed)
    run(composed)
    (folder,) = runs.glob("*/*-s*")
    return read_run(folder)


@pytest.mark.parametrize(
    "words",
    [
        ["callbacks=[default,clip]"],
        ["callbacks=[default,clip]", "callbacks.gradient_clip.mode=value"],
        ["callbacks=[default,clip]", "callbacks.gradient_clip.mode=agc"],
        ["callbacks=[default,ema]"],
        ["callbacks=[default,early_stopping]"],
        ["trainer.precision=bf16-mixed", "trainer.channels_last=true"],
        ["trainer.accumulate=2"],
        ["recipe=gentle"],
        ["data.image_size=34"],
        ["trainer.profiler=simple"],
        ["loss=focal"],
        ["loss=focal", "loss.class_weights=balanced"],
        ["loss=bce", "recipe.label_smoothing=0.1"],
        ["loss=sigmoid_focal"],
        ["optimizer=adamw", "optimizer.lr=1e-3", "optimizer.layer_decay=0.8"],
        ["optimizer=adam"],
        ["optimizer=rmsprop"],
        ["optimizer=lamb"],
        ["scheduler=plateau"],
        ["scheduler=step", "scheduler.decay_epochs=1"],
        ["scheduler=poly"],
        ["data.augment.mixup=0.2", "data.augment.cutmix=1.0", "data.augment.erasing=0.5"],
        ["data.augment.policy=trivialaugment"],
        ["data.sampler=balanced"],
        ["model=resnet20_cifar", "model.width=4", "model.freeze=1"],
        ["model=timm", "model.name=test_resnet"],
    ],
    ids=lambda words: " ".join(words),
)
def test_it_trains(tmp_path, words):
    finished = train(tmp_path, *words)
    assert finished.status == "finished"
    assert 0 <= finished.metrics["test/top1"] <= 1
    assert finished.history["train/loss"].values


def test_a_result_at_chance_says_so(tmp_path, capsys):
    words = ["optimizer=sgd", "optimizer.lr=1e-9", "trainer.max_epochs=1", "model.seed=3"]
    finished = train(tmp_path, *words)
    hint = "hardly better than the most frequent class (0.1019)"
    assert (finished.metrics["test/top1"] < 0.15) == (hint in capsys.readouterr().out)


def test_a_net_without_normalisation_learns_gently(tmp_path, capsys):
    words = ["model=lenet5", "recipe=gentle", "scheduler=cosine_gentle", "data.batch_size=64"]
    finished = train(tmp_path, *words, "trainer.limit_train_batches=1.0")
    assert finished.metrics["test/top1"] > 0.5
    assert "hardly better" not in capsys.readouterr().out


@pytest.mark.slow  # a compiler runs
def test_a_compiled_net_trains_and_its_weights_load_in_one_that_is_not(tmp_path):
    compiled = train(tmp_path / "one", "trainer.compile=true", "trainer.max_epochs=1")
    child = [f"model.weights={compiled.folder}", "trainer.max_epochs=1"]
    assert train(tmp_path / "two", *child).parent["name"] == compiled.name


@pytest.mark.parametrize("logger", ["tensorboard", "mlflow"])
def test_other_loggers(tmp_path, logger, monkeypatch):
    monkeypatch.chdir(tmp_path)  # mlflow's own folder
    if importlib.util.find_spec(logger) is None:
        pytest.skip(f"{logger} is not installed")
    finished = train(tmp_path, f"logger={logger}")
    assert finished.status == "finished"


def test_several_labels_from_a_table(tmp_path):
    rows = ["path,label,split"]
    for i in range(24):
        Image.new("RGB", (40, 30), (250 * (i % 2), 250 * (i % 3 == 0), 0)).save(
            tmp_path / f"{i}.png"
        )
        labels = [name for name, has in (("red", i % 2), ("green", i % 3 == 0)) if has]
        rows.append(f"{i}.png,{'|'.join(labels)},{('train', 'train', 'val', 'test')[i % 4]}")
    (tmp_path / "list.csv").write_text("\n".join(rows))
    words = ["data=csv", f"data.root={tmp_path}", "task=multilabel", "data.image_size=32"]
    finished = train(tmp_path / "runs", *words, "data.batch_size=4")
    assert finished.data["num_classes"] == 2
    assert {"test/average_precision", "test/f1", "test/exact_match"} <= finished.metrics.keys()


@pytest.mark.data
def test_the_sentence_a_user_starts_with(tmp_path, real_data):
    """`python train.py model=resnext50_32x4d data=imagenet`, made short."""
    words = ["model=resnext50_32x4d", "data=imagenet", f"data.root={real_data('imagenette224')}"]
    short = ["data.image_size=64", "data.fraction=0.02", "trainer.limit_train_batches=2"]
    finished = train(
        tmp_path, *words, *short, "trainer.max_epochs=1", "trainer.limit_test_batches=1"
    )
    assert finished.data["num_classes"] == 10
    assert finished.data["test_is_val"]
    assert finished.cost["cost/params_m"] == pytest.approx(22.98 + 0.0205, abs=0.01)

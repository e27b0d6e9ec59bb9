"""Two processes give the figures of one on a set of odd size: no sample is counted twice."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnlab import cli
from cnnlab.tracking.reading import read_run

ROOT = Path(__file__).parents[1]


def run(*words: str) -> str:
    """What `python WORDS` prints, in one thread."""
    done = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def train(runs: Path, *words: str) -> Path:
    if not any(word.startswith("model=") for word in words):
        words = ("model=lenet5_modern", *words)
    shared = [
        *("logger=none", f"runs={runs}", "callbacks.pictures=null"),
        *("trainer.accelerator=cpu", "trainer.threads=1", "trainer.precision=32-true"),
        *("trainer.max_epochs=1", "scheduler=constant", "optimizer.lr=0.01"),
    ]
    run("train.py", *shared, *words)
    folders = list(runs.glob("*/*"))
    assert len(folders) == 1, f"one run, one folder: {folders}"
    return folders[0]


def by_two(folder: Path, *words: str) -> dict[str, float]:
    """The figures of a trained run, by two processes."""
    two = ["trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu", "--json"]
    said = run("-m", "cnnlab", "test", str(folder), *two, *words)
    return json.loads(said.splitlines()[-1])


@pytest.mark.parametrize(
    "words",
    [[], pytest.param(["data.sampler=balanced"], marks=pytest.mark.slow)],
    ids=["plain", "balanced"],
)
def test_two_processes_equal_one(tmp_path, words):
    # The same steps in both: two processes of 8 see what one of 16 sees.
    words = [*words, "data.fraction=0.25", "data.eval_batch_size=50", "data.augment.padding=0"]
    one = read_run(train(tmp_path / "one", "data.batch_size=16", *words))
    two = ["data.batch_size=8", "trainer=ddp", "trainer.devices=2"]
    two = read_run(train(tmp_path / "two", *two, *words))
    assert one.data["sizes"]["val"] % 2 == 1, "the point is an odd size"
    assert sum(map(sum, two.results["test/confusion"])) == two.data["sizes"]["test"]
    keys = [key for key in one.metrics if key.startswith(("val/", "test/"))]
    assert len(keys) >= 10
    for key in keys:
        assert two.metrics[key] == pytest.approx(one.metrics[key], abs=2e-4), key
    assert json.dumps(two.results["test/confusion"]) == json.dumps(one.results["test/confusion"])


@pytest.mark.slow
def test_a_weighted_loss_is_the_same_mean_over_two_processes(tmp_path):
    folder = train(tmp_path, "loss.class_weights=effective", "data.fraction=0.25")
    two = by_two(folder, "data.eval_batch_size=23")
    one = read_run(folder).metrics
    assert two["test/samples"] == 359
    for key in (key for key in one if key.startswith("test/")):
        assert two[key] == pytest.approx(one[key], abs=1e-5), key


def table(root: Path) -> list[str]:
    """40 images of two labels each; two of val's cannot be read, one for each process."""
    rows = ["path,label,split"]
    for i in range(40):
        split = ("train", "train", "val", "test")[i % 4]
        Image.new("RGB", (16, 16), (i, 100 * (i % 3), 0)).save(root / f"{i}.png")
        rows.append(f"{i}.png,{'a|b' if i % 3 else 'a'},{split}")
    for i in (2, 6):
        (root / f"{i}.png").write_bytes(b"junk")
    (root / "list.csv").write_text("\n".join(rows))
    words = ["data=csv", f"data.root={root}", "task=multilabel", "data.bad_files=skip"]
    return [*words, "data.image_size=32", "data.workers=0"]


def test_two_processes_count_the_skipped_files_of_both(tmp_path):
    words = table(tmp_path)
    words += ["data.eval_batch_size=3", "data.batch_size=4", "trainer=ddp", "trainer.devices=2"]
    run = read_run(train(tmp_path / "runs", *words))
    assert run.status == "finished"
    assert run.data["skipped"] == {"train": 0, "val": 2, "test": 0}
    assert run.data["skipped_files"]["val"] == ["2.png", "6.png"]
    assert 0 <= run.metrics["test/average_precision"] <= 1


def masks(root: Path) -> list[str]:
    """CamVid's layout: 4, 5 and 7 frames of 48 x 32, in blocks of 8 that are bright as their class.

    Classes 0 to 4 and the ignored value; the last of the test is ignored altogether.
    """
    draw = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 5), ("test", 7)):
        lines = []
        for folder in (split, f"{split}annot"):
            (root / folder).mkdir()
        for i in range(count):
            blocks = draw.integers(0, 6, (4, 6))
            mask = np.where(blocks == 5, 11, blocks).repeat(8, 0).repeat(8, 1)
            if (split, i) == ("test", 6):
                mask[:] = 11
            noise = draw.integers(0, 30, (32, 48, 3))
            image = (20 * mask[..., None] + noise).astype(np.uint8)
            Image.fromarray(image).save(root / split / f"{i}.png")
            Image.fromarray(mask.astype(np.uint8)).save(root / f"{split}annot" / f"{i}.png")
            lines.append(f"{split}/{i}.png {split}annot/{i}.png")
        (root / f"{split}.txt").write_text("\n".join(lines))
    words = ["model=resnet20_cifar", "data=camvid", f"data.root={root}", "data.workers=0"]
    return [*words, "data.image_size=[32,48]", "data.batch_size=2", "data.eval_batch_size=3"]


def pixels_that_count(root: Path) -> int:
    files = [root / "testannot" / f"{i}.png" for i in range(7)]
    return sum(int((np.asarray(Image.open(file)) != 11).sum()) for file in files)


@pytest.mark.slow
def test_two_processes_train_on_masks(tmp_path):
    words = [*masks(tmp_path), "data.batch_size=1", "trainer=ddp", "trainer.devices=2"]
    two = read_run(train(tmp_path / "runs", *words, "loss=dice_ce"))
    assert two.status == "finished"
    assert sum(map(sum, two.results["test/confusion"])) == pixels_that_count(tmp_path)


def test_masks_have_the_same_figures_in_two_processes(tmp_path, capsys):
    """To the bit, though of 7 images one process sees 4; the loss is a sum of fractions."""
    folder = train(tmp_path / "runs", *masks(tmp_path))
    one = read_run(folder)
    two = by_two(folder, "data.eval_batch_size=1")
    assert two.pop("test/samples") == 7
    assert {"test/miou", "test/boundary_f1", "test/micro_iou", "test/loss"} <= set(two)
    for key, value in two.items():
        exact = key != "test/loss"
        assert value == pytest.approx(one.metrics[key], rel=0 if exact else 1e-5, abs=0), key
    assert sum(map(sum, one.results["test/confusion"])) == pixels_that_count(tmp_path)
    cli.main(["test", str(folder)])
    (shown,) = [line for line in capsys.readouterr().out.splitlines() if line[:9] == "classes  "]
    sky = one.results["test/iou_per_class"][0]
    assert shown.startswith(f"classes  sky {sky:.3f}  building ")
    assert "  tree -  " in shown, "it does not occur"


def test_boxes_have_the_same_figures_in_two_processes(tmp_path, capsys):
    """Though of 9 scenes one process sees 5; most scores are close to each other."""
    words = ["data=digit_scenes", "task=detection", "model=resnet20_cifar", "data.workers=0"]
    words += ["recipe.head_width=8", "head.depth=1", "head.levels=2", "head.norm=null"]
    words += ["data.scenes=45", "data.batch_size=5", "data.eval_batch_size=1"]
    words += ["task.score_threshold=0.0", "optimizer.lr=0.003", "trainer.max_epochs=3"]
    folder = train(tmp_path, *words)
    one = read_run(folder)
    two = by_two(folder)
    assert two.pop("test/samples") == one.data["sizes"]["test"] == 9
    assert {"test/map", "test/map50", "test/map_small", "test/loss", "test/loss_box"} <= set(two)
    assert 0 < two["test/map50"] < 1
    for key, value in two.items():
        # The record has all digits, callback_metrics those of a float32; both null where there is
        # nothing to measure.
        alone, exact = one.metrics[key], not key.startswith("test/loss")
        assert (value is None) == (alone is None), key
        if alone is not None:
            assert value == pytest.approx(np.float32(alone), rel=0 if exact else 1e-5, abs=0), key
    assert None in two.values(), "no scene has a large object"
    objects = sum(one.results["test/objects_per_class"])
    errors = one.results["test/errors"]
    assert 0 < errors["missed"] <= objects
    assert [sum(of) for of in one.results["test/errors_per_class"].values()] == [*errors.values()]
    cli.main(["test", str(folder)])
    shown = capsys.readouterr().out.splitlines()
    (said,) = [line for line in shown if line.startswith("errors   ")]
    assert said.endswith(f"missed {errors['missed']} (of {objects} objects)")


@pytest.mark.slow
def test_two_processes_train_a_detector_of_two_stages(tmp_path):
    """Plain DDP: a parameter without a gradient in some process would stop it."""
    words = ["data=digit_scenes", "task=detection", "model=resnet20_cifar", "data.workers=0"]
    words += ["head=faster_rcnn", "recipe.head_width=8", "head.hidden=16", "head.levels=2"]
    words += ["data.scenes=20", "data.batch_size=5", "data.digits=1"]  # in some scenes none
    two = read_run(train(tmp_path, *words, "trainer=ddp", "trainer.devices=2"))
    assert two.status == "finished"
    assert two.best["step"] == 2
    for key in ("val/loss_rpn_box", "val/loss_box", "val/loss_class"):
        assert 0 < two.metrics[key] < 100, key

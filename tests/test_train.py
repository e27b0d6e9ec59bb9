"""The whole way: words in, a run folder out."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from cnnlab.config import check, compose
from cnnlab.evaluate import checkpoint_words, evaluate
from cnnlab.tracking.reading import read_run
from train import run

ROOT = Path(__file__).parents[1]
SHORT = [
    "model=lenet5_modern",
    "logger=none",
    "trainer.max_epochs=2",
    "trainer.threads=1",
    "trainer.precision=32-true",
    "data.fraction=0.5",
]


def start(*words: str) -> dict[str, float]:
    composed = compose([*SHORT, *words])
    check(composed)
    return run(composed)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    start(f"runs={runs}")
    return runs / "digits-lenet5_modern" / "001-s0"


def test_run_folder_is_whole(finished):
    run_ = read_run(finished)
    assert run_.status == "finished"
    assert run_.tested == "best"
    assert {"test/top1", "test/top5", "test/macro", "test/ece", "test/loss"} <= run_.metrics.keys()
    assert {
        "cost/params_m",
        "cost/gmacs",
        "cost/activations_m",
        "cost/latency_ms",
    } <= run_.cost.keys()
    assert run_.data["sizes"] == {"train": 540, "val": 359, "test": 359}
    assert len(run_.results["test/per_class"]) == 10
    assert sum(map(sum, run_.results["test/confusion"])) == 359
    assert run_.history["val/top1"].epochs == [0, 1]
    files = {
        path.relative_to(finished).as_posix() for path in finished.rglob("*") if path.is_file()
    }
    assert {
        "run.json",
        "metrics.csv",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "weights.safetensors",
        "backbone.safetensors",
        "pictures/predictions.png",
        "pictures/confusion.png",
    } <= files


def test_reported_accuracy_is_that_of_the_confusion_matrix(finished):
    run_ = read_run(finished)
    confusion = torch.tensor(run_.results["test/confusion"])
    assert run_.metrics["test/top1"] == pytest.approx(confusion.diag().sum().item() / 359, abs=1e-6)


def test_checkpoint_holds_plain_containers_only(finished):
    checkpoint = torch.load(finished / "checkpoints" / "best.ckpt", weights_only=True)
    assert checkpoint["cnnlab"]["classes"] == [str(i) for i in range(10)]


def test_kept_weights_are_those_that_were_tested(finished):
    kept = load_file(finished / "weights.safetensors")
    best = torch.load(finished / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    assert kept
    for name, tensor in kept.items():
        torch.testing.assert_close(tensor, best[f"net.{name}"], rtol=0, atol=0)


def test_the_last_checkpoint_is_tested_where_that_is_wanted(tmp_path, monkeypatch):
    """In a job's folder, since that is how an ablation tests."""
    folder = tmp_path / "runs" / "mine" / "a-s0"
    monkeypatch.setenv("CNNLAB_JOB_FOLDER", str(folder))
    # The first epoch is the best on val: the second is thrown off by its rate.
    words = ["trainer.max_epochs=2", "scheduler=step", "scheduler.decay_epochs=1"]
    start(*words, "scheduler.decay_rate=1e4", "scheduler.warmup_epochs=0", "tested=last")
    run_ = read_run(folder)
    assert run_.tested == "last"
    assert run_.best["epoch"] == 0
    last = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    kept = load_file(folder / "weights.safetensors")
    assert all(torch.equal(tensor, last[f"net.{name}"]) for name, tensor in kept.items())
    again = evaluate(compose(checkpoint_words(folder)), folder).metrics
    assert again["test/loss"] == pytest.approx(run_.metrics["test/loss"], rel=1e-5)


def test_same_seed_same_losses_other_seed_others(finished, tmp_path):
    start(f"runs={tmp_path}")
    start(f"runs={tmp_path}", "seed=1")
    folder = tmp_path / "digits-lenet5_modern"
    loss = [
        read_run(f).history["val/loss"].values
        for f in (finished, folder / "001-s0", folder / "002-s1")
    ]
    assert loss[0] == loss[1] != loss[2]


def test_pinned_run(finished):
    """A change that is no change of computation leaves these losses as they are."""
    assert read_run(finished).history["val/loss"].values == pytest.approx(
        [2.1452, 1.5770], rel=2e-3
    )


def test_test_verb_repeats_the_figures_of_the_run(finished):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "cnnlab",
            "test",
            str(finished / "checkpoints" / "best.ckpt"),
            "--json",
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    again = json.loads(done.stdout.splitlines()[-1])
    assert again["test/top1"] == pytest.approx(read_run(finished).metrics["test/top1"])
    assert again["test/loss"] == pytest.approx(read_run(finished).metrics["test/loss"], rel=1e-5)


def test_a_run_with_averaged_weights_tests_the_average(tmp_path):
    """What it reports is what its checkpoint and its kept weights give, not the last step's."""
    start(f"runs={tmp_path}", "callbacks=[default,ema]")
    run_ = read_run(tmp_path / "digits-lenet5_modern" / "001-s0")
    checkpoint = torch.load(run_.folder / "checkpoints" / "best.ckpt", weights_only=True)
    name, last = next(iter(checkpoint["ema"]["weights"].items()))
    assert not torch.equal(last, checkpoint["state_dict"][name])
    composed = compose(checkpoint_words(run_.folder))
    again = evaluate(composed, run_.folder).metrics
    assert again["test/loss"] == pytest.approx(run_.metrics["test/loss"], rel=1e-5)
    assert run_.metrics["test/top1"] == pytest.approx(run_.metrics["val/top1"], abs=0.1)


def test_weights_of_a_run_start_another_and_are_its_parent(finished, tmp_path):
    start(
        f"runs={tmp_path}",
        f"model.weights={finished}",
        "trainer.max_epochs=1",
        "scheduler=constant",
    )
    child = read_run(tmp_path / "digits-lenet5_modern" / "001-s0")
    assert child.parent["name"] == read_run(finished).name


def test_a_diverging_run_fails_and_keeps_no_bad_checkpoint(tmp_path):
    from cnnlab.callbacks.step_monitor import NonFiniteLossError

    with pytest.raises(NonFiniteLossError, match="learning rate"):
        start(f"runs={tmp_path}", "optimizer.lr=1e30", "scheduler=constant")
    failed = read_run(tmp_path / "digits-lenet5_modern" / "001-s0")
    assert failed.status == "failed"
    assert "NonFiniteLossError" in failed.reason
    assert not list(failed.folder.glob("checkpoints/*"))


def test_accumulated_batches_log_the_loss_itself_once_a_step(tmp_path):
    words = ["trainer.accumulate=2", "trainer.log_every=1", "trainer.max_epochs=1"]
    start(f"runs={tmp_path}", *words, "optimizer.lr=1e-6", "scheduler=constant")
    history = read_run(tmp_path / "digits-lenet5_modern" / "001-s0").history["train/loss"]
    assert history.steps == sorted(set(history.steps))
    assert all(2.0 < value < 2.7 for value in history.values), "about ln 10: nothing is learned"


def test_weighted_val_loss_does_not_depend_on_the_batch_size(tmp_path):
    words = ["loss.class_weights=[1,2,3,4,5,6,7,8,9,10]", "trainer.max_epochs=1"]
    for size in (7, 256):
        start(f"runs={tmp_path}", *words, f"data.eval_batch_size={size}", "scheduler=constant")
    folder = tmp_path / "digits-lenet5_modern"
    seven, all_ = (read_run(folder / f"{n}-s0").metrics["test/loss"] for n in ("001", "002"))
    assert seven == pytest.approx(all_, rel=1e-5)


def test_a_secret_in_a_multirun_reaches_no_file(tmp_path):
    done = subprocess.run(
        [
            *(sys.executable, "train.py", "-m", "seed=1", f"runs={tmp_path}"),
            *("+tags.api_key=SuperSecret123", "debug=one_batch", "model=lenet5_modern"),
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(list(tmp_path.rglob("run.json"))) == 1
    assert not [path for path in files if b"SuperSecret123" in path.read_bytes()]
    assert not (ROOT / "multirun.yaml").exists()


@pytest.mark.parametrize(
    ("sent", "code", "reason"),
    [
        (signal.SIGINT, 130, "KeyboardInterrupt: Ctrl-C"),
        (signal.SIGTERM, 143, "SystemExit: SIGTERM"),
    ],
)
def test_a_stopped_run_says_how_to_go_on(tmp_path, sent, code, reason):
    words = ["trainer.max_epochs=400", "model=lenet5_modern", "logger=none", f"runs={tmp_path}"]
    process = subprocess.Popen(
        [sys.executable, "train.py", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if line.startswith("epoch 2/"):
            process.send_signal(sent)
            break
    rest, err = process.communicate(timeout=60)
    folder = tmp_path / "digits-lenet5_modern" / "001-s0"
    assert f"resume={folder}" in rest
    assert "Traceback" not in err
    assert process.returncode == code
    assert read_run(folder).status == "stopped"
    assert read_run(folder).reason == reason


def test_what_is_kept_can_be_read_by_those_who_read_the_record(finished):
    modes = {path.name: path.stat().st_mode for path in finished.iterdir() if path.is_file()}
    assert modes["weights.safetensors"] == modes["backbone.safetensors"] == modes["run.json"]

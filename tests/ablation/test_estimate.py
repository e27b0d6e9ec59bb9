"""Time by a few real steps, disk by the parameters."""

import os

import pytest

from cnnlab.ablation.estimate import disk_bytes, probe, threads
from cnnlab.config import compose

NET = ["model=lenet5_modern", "logger=none", "trainer.threads=1", "trainer.precision=32-true"]


def test_a_probe_counts_the_steps_of_the_whole_run():
    words = [*NET, "trainer.max_epochs=5", "trainer.validate_every=2", "data.batch_size=50"]
    found = probe(compose([*words, "callbacks=[default,ema]"]), 1)
    # 1,079 images of 50: 21 steps an epoch. Two validations and a test of 359 images, 2 batches.
    assert (found.steps, found.eval_batches) == (105, 6)
    assert 0 < found.step_s < found.seconds
    assert found.seconds >= 105 * found.step_s + 6 * found.eval_s


def test_a_probe_of_a_short_run():
    words = ["trainer.max_steps=7", "trainer.limit_train_batches=2", "trainer.accumulate=2"]
    short = [*words, "trainer.limit_val_batches=0.5", "trainer.limit_test_batches=1"]
    found = probe(compose([*NET, *short, "scheduler=constant", "trainer.max_epochs=3"]), 1)
    # 2 batches an epoch, 3 epochs; half of 2 batches of val each time, one of test.
    assert (found.steps, found.eval_batches) == (6, 4)


def test_a_job_has_its_share_of_the_cores():
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert threads(compose([]).cfg, 1) == cores
    assert threads(compose([]).cfg, 10 * cores) == 1
    assert threads(compose(["trainer.threads=3"]).cfg, 2) == 3


@pytest.mark.parametrize(
    ("words", "keep", "numbers"),
    [
        ([], "all", 2 + 2 * 2),  # SGD: a momentum
        (["optimizer=adamw"], "all", 2 + 2 * 3),
        (["optimizer=adamw", "callbacks=[default,ema]"], "all", 2 + 2 * 4),
        (["optimizer=adamw"], "weights", 2),
        ([], "none", 0),
    ],
)
def test_disk(words, keep, numbers):
    assert disk_bytes(compose(words), 1.5, keep) == numbers * 1.5e6 * 4

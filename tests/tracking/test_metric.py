import math

import pytest

from cnnlab.errors import UserError
from cnnlab.tracking.metric import check_cost, choose, higher_is_better, value
from cnnlab.tracking.reading import History


def test_the_usual_metric_of_a_task(made_run):
    boxes = made_run(metrics={"test/loss": 1.0, "test/map": 0.3, "test/map50": 0.5})
    assert choose([made_run()], None) == "test/top1"
    assert choose([boxes], None) == "test/map"
    assert choose([made_run(), boxes, boxes], None) == "test/map"  # the more have it


def test_without_a_usual_metric_the_candidates_are_named(made_run):
    run = made_run(metrics={"accuracy": 0.9, "loss": 0.1})
    with pytest.raises(UserError, match=r"--metric: none of .* name one of: .*accuracy.*loss"):
        choose([run], None)
    assert choose([run], "accuracy") == "accuracy"


def test_a_misspelt_metric(made_run):
    with pytest.raises(UserError, match="did you mean 'test/top1'"):
        choose([made_run()], "test/topl")


def test_val_is_that_of_the_tested_checkpoint(made_run):
    history = {"val/top1": History([16, 32, 48], [0, 1, 2], [1.0, 2.0, 3.0], [0.5, 0.8, 0.7])}
    run = made_run(history=history, metrics={"val/top1": 0.7})  # its best is at step 32
    assert value(run, "val/top1") == 0.8
    run.tested = "last"
    assert value(run, "val/top1") == 0.7
    run.tested = None  # never tested
    assert value(run, "val/top1") == 0.7


def test_what_is_missing_and_what_is_not_a_number(made_run):
    run = made_run(metrics={"test/top1": None, "test/loss": 0.5})
    assert math.isnan(value(run, "test/top1"))
    assert value(run, "test/miou") is None
    assert value(run, "cost/latency_ms") is None  # not measured
    assert value(run, "cost/gmacs") == 0.5


@pytest.mark.parametrize(
    ("metric", "higher"),
    [
        *[("test/top1", True), ("test/loss", False), ("val/loss_box", False), ("test/ece", False)],
        *[("cost/latency_ms", False), ("time/fit_s", False), ("time/images_per_s", True)],
        *[("accuracy", True), ("val_loss", False), ("test/error", False), ("glossary", True)],
        *[("logloss", False), ("valLoss", False), ("errors", False), ("test/wer", False)],
        *[("fid", False), ("MAPE", False), ("fpr95", False), ("testMAE", False)],
        *[("mAP50", True), ("mIoU", True), ("fidelity", True), ("tpr95", True)],
    ],
)
def test_the_better_direction(made_run, metric, higher):
    assert higher_is_better(metric, [made_run()]) is higher


def test_the_direction_of_the_monitor_is_the_tasks_own(made_run):
    run = made_run({"task.monitor": "val/oddity", "task.mode": "min"})
    assert higher_is_better("test/oddity", [run]) is False


def test_costs_have_short_names():
    assert check_cost("cost/gmacs") == check_cost("gmacs") == "gmacs"
    with pytest.raises(UserError, match=r"--cost gmac: must be one of .* did you mean 'gmacs'"):
        check_cost("gmac")

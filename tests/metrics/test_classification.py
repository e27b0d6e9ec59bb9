import math

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, top_k_accuracy_score
from torchmetrics.functional.classification import multiclass_calibration_error

from cnnlab.metrics.classification import ClassificationMetric


def draw(n, classes, scale=1.5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, classes, generator=generator) * scale
    return logits, torch.randint(classes, (n,), generator=generator)


def measure(logits, targets, batches=1, classes=None):
    metric = ClassificationMetric(classes or logits.shape[1])
    for part in zip(logits.chunk(batches), targets.chunk(batches), strict=True):
        metric.update(*part)
    return metric.compute()


@pytest.mark.parametrize(("n", "classes"), [(501, 7), (300, 3), (400, 120)])
def test_equals_scikit_learn(n, classes):
    logits, targets = draw(n, classes)
    found = measure(logits, targets, batches=4)
    y, p, labels = targets.numpy(), logits.argmax(1).numpy(), np.arange(classes)
    assert np.array_equal(found["confusion"].numpy(), confusion_matrix(y, p, labels=labels))
    assert found["top1"].item() == pytest.approx((y == p).mean())
    assert found["macro"].item() == pytest.approx(balanced_accuracy_score(y, p))
    top5 = top_k_accuracy_score(y, logits.numpy(), k=5, labels=labels) if classes > 5 else 1.0
    assert found["top5"].item() == pytest.approx(top5)


@pytest.mark.parametrize("scale", [0.3, 1.5, 4])
def test_calibration_equals_torchmetrics(scale):
    logits, targets = draw(2000, 10, scale)
    expected = multiclass_calibration_error(logits.softmax(1), targets, 10, n_bins=15, norm="l1")
    torch.testing.assert_close(measure(logits, targets)["ece"], expected)


def test_certain_predictions_are_in_the_last_bin():
    """At confidence 1, half of them right: the gap is a half. (torchmetrics has a bin 16 there.)"""
    logits = torch.tensor([[99.0, 0], [99.0, 0], [0.0, math.log(0.98 / 0.02)]])
    found = measure(logits, torch.tensor([0, 1, 1]))
    # One bin of (1 + 1 + 0.98) confidence and 2 hits.
    assert found["ece"].item() == pytest.approx(abs(2 - 2.98) / 3)


def test_absent_classes_are_nan_and_not_averaged():
    logits, targets = torch.eye(4)[[0, 1, 1]], torch.tensor([0, 1, 0])
    found = measure(logits, targets)
    expected = torch.tensor([0.5, 1.0, torch.nan, torch.nan])
    torch.testing.assert_close(found["per_class"], expected, equal_nan=True)
    assert found["macro"] == 0.75


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_nothing_measured_is_nan():
    found = ClassificationMetric(3).compute()
    assert all(found[key].isnan() for key in ("top1", "top5", "macro", "ece"))


def test_ties_are_no_hits():
    """A net that says the same for every class is right by chance only."""
    targets = torch.arange(20)
    found = measure(torch.zeros(20, 20), targets)
    assert found["top1"].item() == pytest.approx(1 / 20)
    assert found["top5"].item() == pytest.approx(5 / 20)


def test_two_processes_sum_to_one():
    logits, targets = draw(1001, 30)
    whole = ClassificationMetric(30)
    whole.update(logits, targets)
    halves = [ClassificationMetric(30) for _ in range(2)]
    for i, metric in enumerate(halves):
        for part in (logits[i::2], targets[i::2]), (logits[:0], targets[:0]):
            metric.update(*part)
    merged = ClassificationMetric(30)
    for name, reduction in merged._reductions.items():
        states = torch.stack([getattr(metric, name) for metric in halves])
        setattr(merged, name, reduction(states))
        assert torch.equal(getattr(merged, name), getattr(whole, name))
    merged._update_count = 2
    torch.testing.assert_close(merged.compute(), whole.compute(), rtol=0, atol=0)


def test_update_reads_no_value():
    """The meta device has none: a wait for the device would be an error here."""
    metric = ClassificationMetric(1000).to("meta")
    metric.update(
        torch.empty(8, 1000, dtype=torch.bfloat16, device="meta"),
        torch.empty(8, dtype=torch.int64, device="meta"),
    )
    assert metric.confusion.device.type == "meta"


def test_reset_starts_anew():
    logits, targets = draw(50, 6)
    metric = ClassificationMetric(6)
    metric.update(logits, targets)
    metric.reset()
    metric.update(logits[:20], targets[:20])
    assert metric.compute()["confusion"].sum() == 20

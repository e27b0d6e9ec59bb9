import subprocess
import sys
import textwrap

import pytest
import torch
from sklearn.metrics import accuracy_score, average_precision_score, f1_score

from cnnlab.metrics.multilabel import MultiLabelMetric


def draw(n=200, classes=6):
    generator = torch.Generator().manual_seed(0)
    targets = (torch.rand(n, classes, generator=generator) < 0.3).float()
    return 2 * targets + torch.randn(n, classes, generator=generator) - 1, targets


def measure(logits, targets, batches=1):
    metric = MultiLabelMetric(logits.shape[1])
    for part in zip(logits.chunk(batches), targets.chunk(batches), strict=True):
        metric.update(*part)
    return metric.compute()


@pytest.mark.parametrize("batches", [1, 7])
def test_equals_scikit_learn(batches):
    logits, targets = draw()
    found = {k: v.tolist() for k, v in measure(logits, targets, batches).items()}
    y, s, p = targets.numpy(), logits.sigmoid().numpy(), (logits > 0).numpy()
    assert found["average_precision"] == pytest.approx(average_precision_score(y, s))
    assert found["per_class"] == pytest.approx(average_precision_score(y, s, average=None).tolist())
    assert found["f1"] == pytest.approx(f1_score(y, p, average="micro"))
    assert found["f1_macro"] == pytest.approx(f1_score(y, p, average="macro"))
    assert found["exact_match"] == pytest.approx(accuracy_score(y, p))


def test_absent_classes_are_nan_and_not_averaged():
    logits, targets = draw()
    expected = measure(logits[:, :4], targets[:, :4])
    targets[:, 4:], logits[:, 4:] = 0, -3
    found = measure(logits, targets)
    assert found["per_class"][4:].isnan().all()
    assert found["average_precision"] == expected["average_precision"]
    assert found["f1_macro"] == expected["f1_macro"]


def test_batch_of_small_positive_logits_is_not_taken_for_probabilities():
    logits, targets = torch.tensor([[0.2, -0.1], [0.4, 0.3]]), torch.tensor([[1.0, 0], [1, 1]])
    found = measure(logits, targets, batches=2)
    assert found["exact_match"] == 1


def test_large_logits_keep_their_order():
    """A float32 sigmoid is 1 from about 17 on."""
    logits, targets = torch.tensor([[50.0], [40.0], [30.0]]), torch.tensor([[1.0], [0.0], [1.0]])
    assert measure(logits, targets)["average_precision"].item() == pytest.approx((1 + 2 / 3) / 2)


def test_two_processes_are_one(tmp_path):
    logits, targets = draw(51)
    torch.save((logits, targets), tmp_path / "data.pt")
    code = """
        import sys, torch
        from cnnlab.metrics.classification import ClassificationMetric
        from cnnlab.metrics.multilabel import MultiLabelMetric
        folder, rank = sys.argv[1], int(sys.argv[2])
        torch.distributed.init_process_group(
            "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
        logits, targets = torch.load(f"{folder}/data.pt")
        several, one = MultiLabelMetric(6), ClassificationMetric(6)
        several.update(logits[rank::2], targets[rank::2])
        one.update(logits[rank::2], targets[rank::2].argmax(1))
        torch.save((several.compute(), one.compute()), f"{folder}/{rank}.pt")
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)]
    processes = [subprocess.Popen([*command, str(rank)]) for rank in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    whole = measure(logits, targets)
    for rank in range(2):
        several, one = torch.load(tmp_path / f"{rank}.pt")
        torch.testing.assert_close(several, whole)
        assert one["confusion"].sum() == 51

"""The tested net is the folded one; what is kept is the trained one."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from cnnlab.ablation.local_pool import AT_ONCE
from cnnlab.callbacks import fold_bn
from cnnlab.config import compose
from cnnlab.errors import UserError
from cnnlab.surgery.fold_bn import FoldReport
from cnnlab.tracking.reading import read_run
from train import run

WORDS = [
    *("callbacks=[default,fold_bn]", "callbacks.pictures=null", "logger=none"),
    *("model=resnet20_cifar", "model.width=8", "data.fraction=0.2", "scheduler=constant"),
    *("trainer.max_epochs=1", "trainer.precision=32-true", "trainer.threads=1"),
]


def test_the_same_figures_at_the_folded_cost(tmp_path, capsys):
    found = {}
    for fold in ("false", "true"):
        words = [*WORDS, f"callbacks.fold_bn.fold={fold}", f"runs={tmp_path / fold}"]
        found[fold] = run(compose(words))
    before, after = found["false"], found["true"]
    assert before["test/loss"] > 0.1
    for key in ("test/loss", "test/top1"):
        assert after[key] == pytest.approx(before[key], rel=1e-5)
    # By hand: 19 BatchNorm layers of 7, 6 and 6 times 8, 16 and 32 channels have two numbers a
    # channel; folded, each leaves one, the bias.
    gone = 7 * 8 + 6 * 16 + 6 * 32
    assert (before["cost/params_m"] - after["cost/params_m"]) * 1e6 == pytest.approx(gone)
    assert after["cost/latency_ms"] > 0
    printed = capsys.readouterr().out
    assert "19 of 19 BatchNorm layers folded" in printed
    assert printed.count("cost     0.06756 M parameters") == 1  # at the end of the second
    folder = Path(next((tmp_path / "true").glob("*/*")))
    # The record has what was measured last; what is kept fits the net that the config names.
    assert read_run(folder).cost["cost/params_m"] == after["cost/params_m"]
    assert sum("running_mean" in name for name in load_file(folder / "weights.safetensors")) == 19


def test_beside_other_jobs_no_latency(tmp_path, monkeypatch):
    monkeypatch.setenv(AT_ONCE, "2")
    found = run(compose([*WORDS, "debug=one_batch", f"runs={tmp_path}"]))
    assert found["cost/latency_ms"] is None


def test_another_function_is_not_tested(tmp_path, monkeypatch):
    def spoilt(net: nn.Module, size: tuple[int, int, int]) -> tuple[nn.Module, FoldReport]:
        folded, report = genuine(net, size)
        last = [m for m in folded.modules() if isinstance(m, nn.Linear)][-1]
        with torch.no_grad():
            last.bias += 1
        return folded, report

    genuine = fold_bn.fold
    monkeypatch.setattr(fold_bn, "fold", spoilt)
    with pytest.raises(UserError, match=r"callbacks=fold_bn: outputs differ by .* of the largest"):
        run(compose([*WORDS, "debug=one_batch", f"runs={tmp_path}"]))
    (folder,) = tmp_path.glob("*/*")
    assert read_run(folder).status == "failed"
    assert (folder / "checkpoints" / "last.ckpt").is_file()

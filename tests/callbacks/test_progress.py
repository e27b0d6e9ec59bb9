import io
from types import SimpleNamespace

import pytest
import torch

from cnnlab.callbacks.progress import Progress, _clock


def trainer(rank_zero: bool = True) -> SimpleNamespace:
    return SimpleNamespace(
        callbacks=[],
        is_global_zero=rank_zero,
        current_epoch=1,
        max_epochs=4,
        num_training_batches=2,
        callback_metrics={"val/top1": torch.tensor(0.5), "train/other": torch.tensor(1.0)},
    )


def epoch(progress: Progress, at: SimpleNamespace, validated: bool = True) -> None:
    progress.on_train_start(at, None)
    progress.on_train_epoch_start(at, None)
    for batch in range(2):
        progress.on_train_batch_end(at, None, None, None, batch)
    if validated:
        progress.on_validation_end(at, None)
    progress.on_train_epoch_end(at, None)


def test_plain_lines_where_there_is_no_terminal(capsys):
    epoch(Progress(), trainer())
    out, err = capsys.readouterr()
    (line,) = out.splitlines()
    assert line.startswith("epoch 2/4 ")
    assert "val/top1 0.5000" in line
    assert "train/other" not in line
    assert line.endswith("left")
    assert err == ""


def test_a_bar_on_a_terminal(capsys, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    epoch(Progress(), trainer())
    assert "epoch 2/4" in terminal.getvalue()
    assert "0/2" in terminal.getvalue()
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_an_epoch_without_validation_repeats_no_old_figures(capsys):
    epoch(Progress(), trainer(), validated=False)
    assert "val/" not in capsys.readouterr().out


def test_other_processes_are_silent(capsys):
    epoch(Progress(), trainer(rank_zero=False))
    assert capsys.readouterr().out == ""


def test_a_slow_epoch_says_where_it_is(capsys):
    progress = Progress()
    progress.quiet_s = -1.0
    epoch(progress, trainer())
    assert "1/2 steps" in capsys.readouterr().out


@pytest.mark.parametrize(("seconds", "text"), [(5, "0:05"), (65, "1:05"), (3725, "1:02:05")])
def test_clock(seconds, text):
    assert _clock(seconds) == text

import pytest
import torch

from cnnlab import trainer as trainers


def node(**given) -> dict:
    return {
        "accelerator": "cpu",
        "devices": 1,
        "precision": "auto",
        "channels_last": "auto",
        "threads": 1,
    } | given


@pytest.mark.parametrize(
    ("has_bf16", "precision", "channels_last"),
    [(True, "bf16-mixed", True), (False, "32-true", False)],
)
def test_auto_precision_follows_the_processor(monkeypatch, has_bf16, precision, channels_last):
    monkeypatch.setattr(trainers, "_has_bf16", lambda accelerator: has_bf16)
    resolved = node()
    trainers.resolve(resolved)
    assert (resolved["precision"], resolved["channels_last"]) == (precision, channels_last)


def test_what_is_given_stays():
    resolved = node(precision="64-true", channels_last=True, threads=3)
    trainers.resolve(resolved)
    assert resolved == node(precision="64-true", channels_last=True, threads=3)


def test_threads_are_what_the_environment_grants(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    resolved = node(threads=None)
    trainers.resolve(resolved)
    assert resolved["threads"] == 7


def test_auto_accelerator_is_made_definite():
    resolved = node(accelerator="auto")
    trainers.resolve(resolved)
    assert resolved["accelerator"] == ("gpu" if torch.cuda.is_available() else "cpu")

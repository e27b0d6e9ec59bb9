import pytest

from cnnlab.config import compose
from cnnlab.config.several import jobs
from cnnlab.errors import UserError


def test_jobs_are_every_combination():
    words = ["-m", "model=resnet18,resnet50", "seed=range(2)", "name='a,b'", "--config-dir", "/"]
    assert jobs(words) == [
        ["--config-dir", "/", f"model={model}", f"seed={seed}", "name='a,b'"]
        for model in ("resnet18", "resnet50")
        for seed in (0, 1)
    ]


def test_glob_and_composing_each():
    found = [
        compose(words).choices["recipe"] for words in jobs(["-m", "recipe=glob(*,exclude=v*)"])
    ]
    assert {"fast", "resnet", "alexnet", "convnext"} <= set(found)
    assert "vgg" not in found


def test_a_sweep_without_a_list():
    with pytest.raises(UserError, match="interval"):
        jobs(["-m", "optimizer.lr=interval(0.1, 1)"])

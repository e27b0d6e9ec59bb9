import math

import pytest
import timm
import torch
from torch import nn

from cnnlab.errors import UserError
from cnnlab.tasks.optimization import optimizer, scheduler

SGD = dict(name="sgd", lr=0.1, momentum=0.9, weight_decay=0.01, layer_decay=None)


def net() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


def test_no_decay_on_norm_and_bias():
    made = optimizer(net(), decay_norm_and_bias=False, **SGD)
    decay = {g["weight_decay"]: [p.ndim for p in g["params"]] for g in made.param_groups}
    assert decay == {0.0: [1, 1, 1, 1], 0.01: [4, 2]}


def test_decay_on_everything():
    made = optimizer(net(), decay_norm_and_bias=True, **SGD)
    assert all(group["weight_decay"] == 0.01 for group in made.param_groups)
    assert sum(len(group["params"]) for group in made.param_groups) == 6


def test_layer_decay_gives_lower_rates_below():
    backbone = timm.create_model("convnext_atto", num_classes=2)
    made = optimizer(backbone, decay_norm_and_bias=False, **SGD | {"layer_decay": 0.5})
    where = {id(p): name for name, p in backbone.named_parameters()}
    scales = {where[id(p)]: g["lr_scale"] for g in made.param_groups for p in g["params"]}
    assert (
        scales["stem.0.weight"]
        < scales["stages.2.blocks.0.conv_dw.weight"]
        < scales["head.fc.weight"]
    )
    assert scales["head.fc.weight"] == 1.0


def test_frozen_parameters_are_left_out():
    model = net()
    model[0].requires_grad_(False)
    made = optimizer(model, decay_norm_and_bias=True, **SGD)
    assert sum(len(group["params"]) for group in made.param_groups) == 4


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "sdg"}, "did you mean"),
        ({"name": "adamw", "alpha": 0.9}, "alpha"),
    ],
)
def test_wrong_optimizer_is_one_line(changes, words):
    with pytest.raises(UserError, match=words) as error:
        optimizer(net(), decay_norm_and_bias=True, **SGD | changes)
    assert "\n" not in str(error.value)


def rates(updates: int, epochs: float, **keys) -> list[float]:
    made = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = scheduler(
        made, epochs, updates, "max", **dict(warmup_epochs=0.0, warmup_lr=0.0, min_lr=0.0) | keys
    )
    seen = []
    for step in range(round(updates * epochs)):
        seen.append(made.param_groups[0]["lr"])
        schedule.step_update(step + 1)
    return seen


def test_cosine_with_warmup_is_the_formula():
    seen = rates(10, 4, name="cosine", warmup_epochs=0.5)
    expected = [
        step / 5 if step < 5 else 0.5 * (1 + math.cos(math.pi * step / 40)) for step in range(40)
    ]
    assert seen == pytest.approx(expected)


def test_multistep_divides_at_its_epochs():
    seen = rates(10, 6, name="multistep", milestones=[2, 4.5], decay_rate=0.1)
    assert seen == pytest.approx([1.0] * 20 + [0.1] * 25 + [0.01] * 15)


def test_linear_reaches_zero_at_the_end():
    assert rates(5, 2, name="linear") == pytest.approx([1 - step / 10 for step in range(10)])


def test_constant_stays():
    assert set(rates(3, 2, name="constant")) == {1.0}


def test_plateau_divides_when_the_monitor_stalls():
    made = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    keys = dict(warmup_epochs=0.0, warmup_lr=0.0, min_lr=0.0, decay_rate=0.1, patience=1)
    schedule = scheduler(made, 9, 1, "max", name="plateau", **keys)
    for value in (0.1, 0.2, 0.2, 0.2):
        schedule.step(value)
    assert made.param_groups[0]["lr"] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (dict(name="multistep"), "scheduler.milestones"),
        (dict(name="cosine", warmup_epochs=4.0), "scheduler.warmup_epochs=4.0"),
        (dict(name="plateau", decay_rate=0.1, patience=1, warmup_epochs=1.0), "no warm-up"),
        (dict(name="step", decay_rate=0.1, decay_epochs=0.01), "scheduler.decay_epochs=0.01"),
    ],
)
def test_wrong_schedule_names_its_key(keys, words):
    with pytest.raises(UserError, match=words):
        rates(10, 4, **keys)

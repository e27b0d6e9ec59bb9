"""What may be searched, and what is said of the rest."""

from types import SimpleNamespace

import pytest
import yaml
from omegaconf import OmegaConf

from cnnlab.ablation.space import OneOf, Range, read
from cnnlab.errors import UserError

CONFIG = {
    "model": {"groups": 1, "dropout": 0.0, "act": "relu", "drop_path": None},
    "optimizer": {"lr": 0.1},
}
GROUPS = {"recipe": ("fast", "gentle")}


def composed_with(words: list[str]):
    cfg = OmegaConf.create(CONFIG)
    for word in words:
        key, _, text = word.partition("=")
        value = yaml.safe_load(text)
        if key in GROUPS:
            if value not in GROUPS[key]:
                raise UserError(f"{word}: no such config")
        elif isinstance(value, float) and value > 1:
            raise UserError(f"{word}: must be at most 1")
        else:
            OmegaConf.update(cfg, key, value)
    return SimpleNamespace(cfg=cfg)


def of(node, typed=()):
    return read(node, list(typed), composed_with, GROUPS.__contains__)


def test_what_a_list_stands_for():
    node = {
        "optimizer.lr": [1e-4, 0.1, "log"],
        "model.dropout": [0, 1],
        "model.groups": [1, 32, "log"],
        "model.drop_path": [0.0, 0.5],
        "model.act": ["relu", "silu", None],
        "recipe": ["fast", "gentle"],
    }
    assert of(node) == {
        "optimizer.lr": Range(1e-4, 0.1, log=True, whole=False),
        "model.dropout": Range(0.0, 1.0, log=False, whole=False),  # the config has 0.0
        "model.groups": Range(1, 32, log=True, whole=True),
        "model.drop_path": Range(0.0, 0.5, log=False, whole=False),
        "model.act": OneOf(["relu", "silu", None]),
        "recipe": OneOf(["fast", "gentle"]),
    }
    assert of({"model.groups": [1, 32, "choice"]}) == {"model.groups": OneOf([1, 32])}
    assert of({"model.groups": [1, 2, 4]}) == {"model.groups": OneOf([1, 2, 4])}


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ([1, 2], r"space=\[1, 2\]: must be what to search"),
        ({}, "space={}: must be what to search"),
        (
            {"optimizer.lrr": [0, 1.0]},
            r"space\.optimizer\.lrr: no such .*did you mean 'optimizer\.lr'",
        ),
        ({"recpe": ["fast", "gentle"]}, r"space\.recpe: no such config key"),
        ({"optimizer.lr": [0.1, 0.001]}, r"space\.optimizer\.lr=\[0\.1, 0\.001\]: the lower bound"),
        ({"optimizer.lr": [0.1, 0.1]}, "the lower bound comes first"),
        ({"optimizer.lr": [0.0, 0.1, "log"]}, "begins above 0"),
        ({"optimizer.lr": [0.1, 0.2, 0.3, "log"]}, "'log' goes with two numbers"),
        ({"optimizer.lr": 0.1}, r"space\.optimizer\.lr=0\.1: must be \[LOW, HIGH\]"),
        ({"optimizer.lr": [0.1]}, r"must be \[LOW, HIGH\]"),
        ({"optimizer.lr": [0.1, 2.0]}, r"^space\.optimizer\.lr: optimizer\.lr=2\.0: must be at mo"),
        ({"model.groups": [1, 2.5]}, "is a whole number"),
        ({"model.act": [1, 2]}, r"space\.model\.act=\[1, 2\]: is relu in the config"),
        ({"model.act": ["relu", "relu"]}, "relu stands there twice"),
        ({"model.act": [["relu"], "silu"]}, "must be a number, a word, true, false or null"),
        ({"recipe": ["fast", "gentl"]}, r"^space\.recipe: recipe=gentl: no such config"),
        ({"seed": [1, 2]}, r"space\.seed: cannot be searched"),
    ],
)
def test_mistakes(node, said):
    with pytest.raises(UserError, match=said) as caught:
        of(node)
    assert "\n" not in str(caught.value)


def test_what_is_typed_cannot_be_searched():
    with pytest.raises(UserError, match=r"space\.optimizer\.lr: was typed for all trials"):
        of({"optimizer.lr": [0.1, 0.2]}, ["optimizer.lr"])

import copy

import pytest

from cnnlab.tracking.identity import differences, identity

CONFIG = {
    "runs": "runs",
    "resume": None,
    "name": None,
    "tags": {},
    "seed": 0,
    "logger": {"wandb": {"mode": "auto"}},
    "callbacks": {"progress": {"x": 1}, "pictures": {"images": 16}, "ema": None, "monitor": {}},
    "data": {"root": "data/x", "workers": "auto", "batch_size": 64},
    "optimizer": {"lr": 0.1},
    "tested": "best",
    "hold": {"cost": None},
    "trainer": {"devices": 1, "threads": 2, "precision": "32-true", "limit_train_batches": 1.0},
}


def changed(key: str, value: object) -> dict:
    config = copy.deepcopy(CONFIG)
    *path, last = key.split(".")
    node = config
    for part in path:
        node = node[part]
    node[last] = value
    return config


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("logger", {}),
        ("callbacks.progress", None),
        ("callbacks.pictures.images", 4),
        ("callbacks.monitor", {"a": 1}),
        ("runs", "/scratch"),
        ("resume", "runs/1"),
        ("name", "again"),
        ("tags.question", "why"),
        ("data.root", "/data"),
        ("data.workers", 4),
        ("trainer.devices", 8),
        ("ablation", {"claim": "x"}),
        ("hold.cost", "params"),
        ("keep", "none"),
    ],
)
def test_who_watches_and_where_is_not_identity(key, value):
    assert identity(changed(key, value)) == identity(CONFIG)
    assert differences(changed(key, value), CONFIG) == {}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", 1),
        ("tested", "last"),
        ("optimizer.lr", 0.2),
        ("optimizer.new", None),
        ("callbacks.ema", {"decay": 0.9}),
        ("data.batch_size", 32),
        ("trainer.threads", 4),
        ("trainer.precision", "bf16-mixed"),
        ("trainer.limit_train_batches", 1),  # one batch; 1.0 is all of them
    ],
)
def test_what_changes_a_result_is_identity(key, value):
    assert identity(changed(key, value)) != identity(CONFIG)
    if value is not None:
        assert next(iter(differences(changed(key, value), CONFIG))).startswith(key)


def test_identity_is_a_sha256_and_the_order_of_keys_does_not_matter():
    turned = dict(reversed(CONFIG.items()))
    assert identity(turned) == identity(CONFIG)
    assert len(bytes.fromhex(identity(CONFIG))) == 32
